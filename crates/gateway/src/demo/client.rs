//! The demo's clients: one request at a time over its own connection pool, refused requests sent again.

use anyhow::{Context as _, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

/// How often a refused request is sent again, and how long is waited before.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
const EXPORT: &str = "opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// A client of one port.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Client {
    /// A client of the OTLP/gRPC port.
    pub fn otlp(address: SocketAddr) -> Self {
        Self { http: HttpClient::builder(TokioExecutor::new()).http2_only(true).build_http(), address }
    }

    /// A client of the JSON port.
    pub fn json(address: SocketAddr) -> Self {
        Self { http: HttpClient::builder(TokioExecutor::new()).build_http(), address }
    }

    /// Exports one `ExportLogsServiceRequest` and awaits its acknowledgement.
    pub async fn export(&self, message: Vec<u8>) -> anyhow::Result<()> {
        // The frame of a gRPC message: not compressed, and its length.
        let mut framed = BytesMut::with_capacity(5 + message.len());
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len())?);
        framed.extend_from_slice(&message);
        let framed = framed.freeze();
        for _ in 0..TRIES {
            let (_, headers) = self.post(EXPORT, "application/grpc", framed.clone()).await?;
            match headers.get("grpc-status").map(http::HeaderValue::as_bytes) {
                Some(b"0") => return Ok(()),
                Some(b"14") => tokio::time::sleep(PAUSE).await,
                other => bail!(
                    "the gateway answered with gRPC status {other:?}: {:?}",
                    headers.get("grpc-message")
                ),
            }
        }
        bail!("the gateway refused the same request {TRIES} times")
    }

    /// Posts JSON lines and awaits their acknowledgement.
    pub async fn post_lines(&self, lines: Vec<u8>) -> anyhow::Result<()> {
        let lines = Bytes::from(lines);
        for _ in 0..TRIES {
            match self.post("", "application/x-ndjson", lines.clone()).await? {
                (StatusCode::OK, _) => return Ok(()),
                (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {
                    tokio::time::sleep(PAUSE).await;
                }
                (other, _) => bail!("the gateway answered {other}"),
            }
        }
        bail!("the gateway refused the same request {TRIES} times")
    }

    /// One request; the headers of the answer with its trailers.
    async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, HeaderMap)> {
        let request = Request::post(format!("http://{}/{path}", self.address))
            .header("content-type", content_type)
            .header("te", "trailers")
            .body(Full::new(body))?;
        let (head, body) = self.http.request(request).await.context("sending to the gateway")?.into_parts();
        let mut headers = head.headers;
        if let Some(trailers) = body.collect().await?.trailers() {
            headers.extend(trailers.clone());
        }
        Ok((head.status, headers))
    }
}

/// Runs `work` for every number, `at_once` at a time, and adds up what it returns.
pub async fn spread<F, W>(numbers: std::ops::Range<u64>, at_once: usize, work: F) -> anyhow::Result<u64>
where
    F: Fn(u64) -> W,
    W: Future<Output = anyhow::Result<u64>>,
{
    futures_util::stream::iter(numbers)
        .map(work)
        .buffer_unordered(at_once)
        .try_fold(0, |sum, records| async move { Ok(sum + records) })
        .await
}
