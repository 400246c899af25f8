//! Acknowledges chunks in the order in which they came.

use super::super::endpoint::{Endpoint, Visit};
use forebay_pipeline::admit::Admitted;
use forebay_pipeline::wire::forward::message::acknowledgement;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// A message that was admitted.
#[derive(Debug)]
pub struct Pending<'e> {
    pub admitted: Admitted,
    pub visit: Visit<'e>,
    /// What its acknowledgement names, if its client waits for one.
    pub chunk: Option<Box<[u8]>>,
}

/// Waits for receipts and writes acknowledgements until the last message has its own. False: one cannot be given, and the connection must end
/// with it, because clients take acknowledgements for those of their messages in order.
pub async fn write<W: AsyncWrite + Unpin>(
    endpoint: &Endpoint,
    write: &mut W,
    waiting: &mut mpsc::Receiver<Pending<'_>>,
) -> bool {
    while let Some(Pending { admitted, visit, chunk }) = waiting.recv().await {
        let outcome = match chunk {
            Some(_) => endpoint.settle(admitted, None).await,
            None => endpoint.settle_whenever(admitted).await,
        };
        if let Ok(taken) = &outcome
            && taken.rejected > 0
        {
            // Forward cannot say that an event was not taken, so the log does.
            endpoint.warn_of_rejected(&taken.message());
        }
        visit.close(&outcome);
        let Some(chunk) = chunk else { continue };
        if outcome.is_err() || say(write, &acknowledgement(&chunk)).await.is_err() {
            return false;
        }
    }
    true
}

/// Writes through whatever holds it back: there may be nothing behind it for a while.
pub async fn say<W: AsyncWrite + Unpin>(write: &mut W, bytes: &[u8]) -> std::io::Result<()> {
    write.write_all(bytes).await?;
    write.flush().await
}
