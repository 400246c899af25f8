//! One keep-alive HTTP/1.1 connection with one request in flight: OTLP/HTTP and JSON lines.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Outcome, rejected_records, why};

/// Where and as what bodies are posted.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub path: &'static str,
    pub content_type: &'static str,
    pub gzip: bool,
}

/// A connection; its requests go one after the other.
#[derive(Debug)]
pub struct HttpClient {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    target: Target,
    _connection: JoinSet<()>,
}

impl HttpClient {
    /// Connects to `address`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(address: SocketAddr, target: Target) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Its error, if any, is the error of the request under way.
            let _ = connection.await;
        });
        Ok(Self { sender, host: address.to_string(), target, _connection: tasks })
    }

    /// Posts `body` and reads the whole answer.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn post(&mut self, body: Bytes) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.target.path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, self.target.content_type);
        if self.target.gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        self.exchange(request.body(Full::new(body))?).await
    }

    /// Gets `path` and reads the whole answer.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let request = Request::builder().uri(path).header(header::HOST, &self.host);
        self.exchange(request.body(Full::default())?).await
    }

    /// Posts a prepared body once and reads what became of its records.
    pub(super) async fn send(&mut self, body: Bytes) -> Outcome {
        match self.post(body).await {
            Err(fault) => Outcome::Failed(format!("{fault:#}")),
            Ok((status, headers, answer)) => verdict(status, &headers, &answer),
        }
    }

    /// Whether the server keeps the connection open for another request.
    pub(super) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, HeaderMap, Bytes)> {
        self.sender.ready().await.context("waiting for the connection")?;
        let response = self.sender.send_request(request).await.context("sending")?;
        let (head, body) = response.into_parts();
        let answer = body.collect().await.context("reading the answer")?.to_bytes();
        Ok((head.status, head.headers, answer))
    }
}

fn verdict(status: StatusCode, headers: &HeaderMap, answer: &[u8]) -> Outcome {
    if status.is_success() {
        let protobuf = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/x-protobuf"));
        return if protobuf { rejected_records(answer) } else { Outcome::Accepted };
    }
    // The retryable answers of the OTLP specification; the JSON receiver follows it.
    if matches!(status.as_u16(), 429 | 502 | 503 | 504) {
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Outcome::Retry { after: seconds.map(Duration::from_secs), why: why(status.as_str(), answer) };
    }
    Outcome::Failed(format!("{status}: {}", String::from_utf8_lossy(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_retryable_statuses_are_retried() {
        let mut headers = HeaderMap::new();
        let plain = Outcome::Retry { after: None, why: "429".into() };
        assert_eq!(verdict(StatusCode::TOO_MANY_REQUESTS, &headers, b""), plain);
        headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static("2"));
        let two_seconds = Outcome::Retry { after: Some(Duration::from_secs(2)), why: "503".into() };
        assert_eq!(verdict(StatusCode::SERVICE_UNAVAILABLE, &headers, b""), two_seconds);
        assert!(matches!(verdict(StatusCode::BAD_REQUEST, &headers, b""), Outcome::Failed(_)));
        assert!(matches!(verdict(StatusCode::PAYLOAD_TOO_LARGE, &headers, b""), Outcome::Failed(_)));
        assert_eq!(verdict(StatusCode::OK, &headers, b"{}"), Outcome::Accepted);
    }
}
