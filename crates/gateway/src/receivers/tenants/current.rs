//! The tenant that goes with a task.

use forebay_pipeline::tenant::Tenant;
use std::future::Future;
use std::sync::Arc;

tokio::task_local! {
    static CURRENT: Arc<Tenant>;
}

/// Does `work` for `tenant`. Without one it costs nothing.
pub async fn on_behalf_of<F: Future>(tenant: Option<Arc<Tenant>>, work: F) -> F::Output {
    match tenant {
        Some(tenant) => CURRENT.scope(tenant, work).await,
        None => work.await,
    }
}

/// For whom this task works.
pub fn current() -> Option<Arc<Tenant>> {
    CURRENT.try_with(Arc::clone).ok()
}
