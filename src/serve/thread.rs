//! Futures that cannot change threads.

use std::future::Future;
use tokio::{runtime::Handle, task::JoinError};

/// Runs a future on a thread of its own: the connections of plans and runs are not made to be handed from one thread to
/// another while somebody waits for them.
///
/// # Errors
/// It broke down.
pub async fn on_its_own<T: Send + 'static, F: Future<Output = T>>(
    make: impl FnOnce() -> F + Send + 'static,
) -> Result<T, JoinError> {
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(make())).await
}
