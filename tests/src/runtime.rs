//! The threads that drive connections, also while nobody waits for them, as a program's own would.

use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

/// One for all clients and proxies of a test process.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    threads.expect("the machine has room for two threads")
});
