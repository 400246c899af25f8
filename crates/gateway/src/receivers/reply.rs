//! The body of an answer, whoever gives it.

use bytes::Bytes;
use forebay_pipeline::budget::Lease;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::answer::{Fault, Kind};
use super::status::retry_after_seconds;

/// The body of an answer.
#[derive(Debug)]
pub enum Reply {
    /// Bytes known in full, and trailers for gRPC.
    Whole { bytes: Bytes, trailers: Option<HeaderMap> },
    /// The health service's own, which may go on for as long as its connection, and the room for its call.
    Health { body: tonic::body::Body, room: Option<Lease> },
}

impl Reply {
    /// Keeps the room for its call until all of it is told, if that may take long.
    pub fn holding(mut self, lease: Option<Lease>) -> Self {
        if let Self::Health { room, .. } = &mut self {
            *room = lease;
        }
        self
    }
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Self {
        Self::Whole { bytes, trailers: None }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Health { body, .. } => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Whole { bytes, .. } if !bytes.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Self::Whole { trailers, .. } => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Health { body, .. } => body.is_end_stream(),
            Self::Whole { bytes, trailers } => bytes.is_empty() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Health { body, .. } => body.size_hint(),
            Self::Whole { bytes, trailers: None } => SizeHint::with_exact(bytes.len() as u64),
            // A known length would become a `content-length`, which gRPC messages go without.
            Self::Whole { .. } => SizeHint::default(),
        }
    }
}

/// An HTTP answer with a body of this type.
pub fn http(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The HTTP answer to a fault, with the headers that belong to it.
pub fn http_fault(fault: &Fault, content_type: &'static str, bytes: Bytes) -> Response<Reply> {
    let mut response = http(fault.http_status(), content_type, bytes);
    if let Some(delay) = fault.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, retry_after_seconds(delay).into());
    }
    if fault.kind == Kind::Method {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if fault.is_last() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
