//! JSON lines on standard output, for trying things out and for containers whose output somebody collects.

use crate::BuildContext;
use crate::lines::LineEncoder;
use forebay_pipeline::body::Share;
use forebay_pipeline::deliver::{DeliveryConfig, Encoder, Payload, Sink, Verdicts};
use forebay_pipeline::document::DocumentWriter;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::Arc;

/// Settings of the `stdout` sink.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "StdoutSink")]
pub struct Config {
    /// How records reach it: batches, concurrency, retries.
    pub delivery: DeliveryConfig,
}

impl Config {
    pub(crate) fn build(&self, context: &BuildContext) -> Arc<dyn Sink> {
        Arc::new(Stdout { writer: DocumentWriter::new(&context.promote) })
    }
}

#[derive(Debug)]
struct Stdout {
    writer: DocumentWriter,
}

impl Sink for Stdout {
    fn encoder(&self, destination: &str, limit: usize) -> Box<dyn Encoder> {
        Box::new(LineEncoder::new(destination, limit, self.writer.clone()))
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Verdicts> {
        let bytes = payload.bytes.clone();
        Box::pin(async move {
            // The terminal or the pipe behind it may be slow.
            let written =
                tokio::task::spawn_blocking(move || print(&mut std::io::stdout().lock(), &bytes)).await;
            match written {
                Ok(Ok(())) => Verdicts::Delivered,
                Ok(Err(error)) => Verdicts::Blocked { reason: format!("standard output: {error}") },
                Err(error) => Verdicts::Retry {
                    reason: format!("standard output: {error}"),
                    after: None,
                    overloaded: false,
                },
            }
        })
    }

    fn render(&self, share: &Share, item: u32) -> Vec<u8> {
        self.writer.clone().document(&share.body, item)
    }
}

fn print(out: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}
