//! The tenant that goes with a task.

use forebay_pipeline::tenant::Tenant;
use futures_util::future::Either;
use std::future::Future;
use std::sync::Arc;

tokio::task_local! {
    static CURRENT: Arc<Tenant>;
}

/// Does `work` for `tenant`. Without one it costs nothing. No `async fn`: that would keep room for `work` several times.
pub fn on_behalf_of<F: Future>(tenant: Option<Arc<Tenant>>, work: F) -> impl Future<Output = F::Output> {
    match tenant {
        Some(tenant) => Either::Left(CURRENT.scope(tenant, work)),
        None => Either::Right(work),
    }
}

/// For whom this task works.
pub fn current() -> Option<Arc<Tenant>> {
    CURRENT.try_with(Arc::clone).ok()
}
