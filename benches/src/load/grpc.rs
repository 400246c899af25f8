//! OTLP over gRPC on one cleartext HTTP/2 connection with several calls in flight.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{Outcome, rejected_records, why};

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// Bytes before a gRPC message: one flag, four of length.
const PREFIX: usize = 5;

/// A connection that its callers share.
#[derive(Debug, Clone)]
pub(super) struct GrpcClient {
    sender: SendRequest<Frames>,
    uri: String,
    frame_bytes: usize,
    gzip: bool,
    _connection: Arc<JoinSet<()>>,
}

impl GrpcClient {
    /// Connects to `address`; bodies leave in DATA frames of at most `frame_bytes`.
    pub(super) async fn connect(address: SocketAddr, frame_bytes: usize, gzip: bool) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Its error, if any, is the error of the calls under way.
            let _ = connection.await;
        });
        let uri = format!("http://{address}{EXPORT}");
        Ok(Self { sender, uri, frame_bytes, gzip, _connection: Arc::new(tasks) })
    }

    /// Makes one call with a framed message and reads what became of its records.
    pub(super) async fn send(&mut self, framed: Bytes) -> Outcome {
        match self.call(framed).await {
            Err(fault) => Outcome::Failed(format!("{fault:#}")),
            Ok((headers, trailers, message)) => verdict(&headers, trailers.as_ref(), &message),
        }
    }

    async fn call(&mut self, framed: Bytes) -> Result<(HeaderMap, Option<HeaderMap>, Bytes)> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.uri)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
        if self.gzip {
            request = request.header("grpc-encoding", "gzip");
        }
        let request = request.body(Frames { left: framed, size: self.frame_bytes })?;
        self.sender.ready().await.context("waiting for the connection")?;
        let response = self.sender.send_request(request).await.context("sending")?;
        let (head, body) = response.into_parts();
        let collected = body.collect().await.context("reading the answer")?;
        let trailers = collected.trailers().cloned();
        Ok((head.headers, trailers, collected.to_bytes()))
    }
}

/// `message` behind its gRPC prefix.
pub(super) fn frame(message: &[u8], compressed: bool) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(u8::from(compressed));
    // A body is bounded far below 4 GiB by the memory that the load generator allows itself.
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

fn verdict(headers: &HeaderMap, trailers: Option<&HeaderMap>, framed: &[u8]) -> Outcome {
    let from_trailers = trailers.and_then(Status::from_header_map);
    let Some(status) = from_trailers.or_else(|| Status::from_header_map(headers)) else {
        return Outcome::Failed("an answer without grpc-status".into());
    };
    let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::Ok => match framed.get(PREFIX..) {
            Some(message) => rejected_records(message),
            None => Outcome::Failed("success without a message".into()),
        },
        // The retryable codes of the OTLP specification.
        Code::ResourceExhausted if delay.is_none() => Outcome::Failed(status.to_string()),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        | Code::ResourceExhausted => {
            let name = format!("{:?}", status.code());
            Outcome::Retry { after: delay, why: why(&name, status.message().as_bytes()) }
        }
        _ => Outcome::Failed(status.to_string()),
    }
}

/// A body in pieces: hyper makes a DATA frame of each, whatever larger size the server allows.
#[derive(Debug)]
struct Frames {
    left: Bytes,
    size: usize,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.size.min(self.left.len());
        let piece = self.left.split_to(size);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use prost::Message;
    use tonic_types::ErrorDetails;

    use super::*;
    use opentelemetry_proto::tonic::collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceResponse,
    };

    fn trailers(status: &Status) -> HeaderMap {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        headers
    }

    fn judged(status: &Status) -> Outcome {
        verdict(&HeaderMap::new(), Some(&trailers(status)), &[])
    }

    #[test]
    fn statuses_are_read_as_the_specification_says() {
        let plain = Outcome::Retry { after: None, why: "Unavailable full bytes".into() };
        assert_eq!(judged(&Status::unavailable("full: 7 bytes")), plain);
        let delay = Duration::from_millis(1500);
        let details = ErrorDetails::with_retry_info(Some(delay));
        let full = Status::with_error_details(Code::ResourceExhausted, "full", details);
        let told = Outcome::Retry { after: Some(delay), why: "ResourceExhausted full".into() };
        assert_eq!(judged(&full), told);
        let too_large = Status::resource_exhausted("too large");
        assert!(matches!(judged(&too_large), Outcome::Failed(_)));
        assert!(matches!(judged(&Status::invalid_argument("bad")), Outcome::Failed(_)));
        assert!(matches!(verdict(&HeaderMap::new(), None, &[]), Outcome::Failed(_)));
    }

    #[test]
    fn a_partial_success_is_no_success() {
        let ok = trailers(&Status::ok(""));
        let answer = |rejected_log_records| {
            let partial_success = (rejected_log_records >= 0)
                .then(|| ExportLogsPartialSuccess { rejected_log_records, error_message: "why".into() });
            let message = ExportLogsServiceResponse { partial_success }.encode_to_vec();
            verdict(&HeaderMap::new(), Some(&ok), &frame(&message, false))
        };
        assert_eq!(answer(-1), Outcome::Accepted);
        assert_eq!(answer(0), Outcome::Accepted);
        assert!(matches!(answer(3), Outcome::Failed(_)));
        assert!(matches!(verdict(&HeaderMap::new(), Some(&ok), &[]), Outcome::Failed(_)));
    }

    #[tokio::test]
    async fn bodies_leave_in_frames_of_the_stated_size() {
        let mut frames = Frames { left: frame(&[7; 40_000], false), size: 16_384 };
        let mut sizes = Vec::new();
        while let Some(piece) = frames.frame().await {
            sizes.push(piece.unwrap().into_data().unwrap().len());
        }
        assert_eq!(sizes, [16_384, 16_384, 40_005 - 32_768]);
        assert!(frames.is_end_stream());
    }
}
