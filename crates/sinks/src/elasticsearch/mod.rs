//! Elasticsearch and OpenSearch, by the bulk API.
//!
//! `POST /{index}/_bulk`: the index is in the path, because a payload has one destination and the name would otherwise be
//! repeated for every record. Documents are created under ids that are stable over retries, so a retry that follows
//! a lost answer finds its documents there and counts them as duplicates.

mod answer;
mod bulk;
mod config;
mod nodes;
mod template;

pub use config::{Auth, Compression, Config, OpType, Template, Tls};

use bulk::{BulkEncoder, BulkShape};
use bytes::Bytes;
use elasticsearch::http::headers::{HeaderMap, HeaderValue, X_OPAQUE_ID};
use forebay_pipeline::body::Share;
use forebay_pipeline::deliver::{Encoder, Payload, Sink, Verdicts};
use forebay_pipeline::document::DocumentWriter;
use futures_util::future::BoxFuture;
use nodes::{Call, Failure, Nodes};
use reqwest::Method;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What the answer is asked to be cut down to: a success then costs a few bytes per document.
const FILTER: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.failure_store";

#[derive(Debug)]
struct Elasticsearch {
    name: String,
    nodes: Nodes,
    writer: DocumentWriter,
    shape: BulkShape,
    headers: HeaderMap,
    query: Vec<(&'static str, &'static str)>,
    template: Template,
    /// Numbers the payloads, for `X-Opaque-Id`.
    payloads: Arc<AtomicU64>,
}

impl Elasticsearch {
    async fn bulk(&self, payload: &Payload) -> Verdicts {
        let Some(path) = bulk_path(&payload.destination) else {
            return Verdicts::Blocked { reason: format!("{:?} is no index name", payload.destination) };
        };
        let mut headers = self.headers.clone();
        if let Ok(id) = HeaderValue::try_from(format!("forebay-{}", payload.id)) {
            headers.insert(X_OPAQUE_ID, id);
        }
        let (query, records) = (&*self.query, payload.records);
        let call = Call { method: Method::POST, path: &path, headers, query, records };
        match self.nodes.send(call, payload.bytes.clone()).await {
            Ok(answer) => answer::judge(&answer, payload.records, self.shape.op),
            Err(Failure { reason, after, timeout }) => Verdicts::Retry { reason, after, overloaded: timeout },
        }
    }
}

impl Sink for Elasticsearch {
    fn encoder(&self, destination: &str, limit: usize) -> Box<dyn Encoder> {
        let payloads = Arc::clone(&self.payloads);
        Box::new(BulkEncoder::new(destination, limit, self.writer.clone(), self.shape.clone(), payloads))
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Verdicts> {
        Box::pin(self.bulk(payload))
    }

    fn render(&self, share: &Share, item: u32) -> Vec<u8> {
        self.writer.clone().document(&share.body, item)
    }

    fn prepare(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async {
            if self.template.install {
                template::install(&self.name, &self.nodes, &self.template).await?;
            }
            Ok(())
        })
    }
}

/// The path of a destination's bulk requests, or `None` for a name that would reach another path than its own.
fn bulk_path(destination: &str) -> Option<String> {
    if matches!(destination, "" | "." | "..") {
        return None;
    }
    let mut path = String::with_capacity(destination.len() + 8);
    path.push('/');
    for byte in destination.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path.push_str("/_bulk");
    Some(path)
}

/// Headers of every request, beside those of its content.
fn common_headers() -> HeaderMap {
    use elasticsearch::http::headers::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // A compressed answer could inflate to any size; filtered, a plain one is small.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("forebay/", env!("CARGO_PKG_VERSION"))));
    headers
}

/// Headers of a bulk request.
fn bulk_headers(gzip: bool) -> HeaderMap {
    use elasticsearch::http::headers::{CONTENT_ENCODING, CONTENT_TYPE};
    let mut headers = common_headers();
    // Not the `vnd.elasticsearch` type, which OpenSearch answers with 406.
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers
}

/// A request's body that is JSON.
fn json_body(value: &serde_json::Value) -> Bytes {
    value.to_string().into()
}

#[cfg(test)]
mod tests;
