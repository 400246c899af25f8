//! Takes everything and keeps nothing: to measure what is in front of it, or to see how a slow sink feels.

use crate::BuildContext;
use forebay_pipeline::body::Share;
use forebay_pipeline::deliver::{DeliveryConfig, Encoder, Payload, Sink, Verdicts};
use forebay_pipeline::document::DocumentWriter;
use forebay_pipeline::units::Period;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Settings of the `blackhole` sink.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "BlackholeSink")]
pub struct Config {
    /// How long each batch seems to take. Default `0s`: no time at all. For those who try out how their clients take a
    /// slow sink.
    pub delay: Period,
    /// How records reach it: batches, concurrency, retries.
    pub delivery: DeliveryConfig,
}

impl Config {
    pub(crate) fn build(&self, context: &BuildContext) -> Arc<dyn Sink> {
        Arc::new(Blackhole { delay: self.delay.0, writer: DocumentWriter::new(&context.promote) })
    }
}

#[derive(Debug)]
struct Blackhole {
    delay: Duration,
    writer: DocumentWriter,
}

impl Sink for Blackhole {
    fn encoder(&self, destination: &str, limit: usize) -> Box<dyn Encoder> {
        Box::new(Counter { destination: destination.into(), limit, bytes: 0, records: 0 })
    }

    fn send<'a>(&'a self, _: &'a Payload) -> BoxFuture<'a, Verdicts> {
        Box::pin(async {
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            Verdicts::Delivered
        })
    }

    fn render(&self, share: &Share, item: u32) -> Vec<u8> {
        self.writer.clone().document(&share.body, item)
    }
}

/// Counts records by the bytes that they came as, and writes nothing.
#[derive(Debug)]
struct Counter {
    destination: Arc<str>,
    limit: usize,
    bytes: usize,
    records: u32,
}

impl Encoder for Counter {
    fn push(&mut self, share: &Share) -> u32 {
        let mut taken = 0;
        for item in share.items() {
            let len = share.body.entry(item).len as usize;
            if self.records > 0 && self.bytes + len > self.limit {
                break;
            }
            self.bytes += len;
            self.records += 1;
            taken += 1;
        }
        taken
    }

    fn len(&self) -> usize {
        self.bytes
    }

    fn is_empty(&self) -> bool {
        self.records == 0
    }

    fn finish(self: Box<Self>) -> Payload {
        Payload {
            destination: self.destination,
            bytes: bytes::Bytes::new(),
            gzip: false,
            records: self.records,
            id: 0,
        }
    }
}
