//! Clients that say exactly what they are told to: HTTP/1.1 byte by byte, and HTTP/2 without a gRPC library.

use super::*;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One HTTP/1.1 connection.
pub struct Wire(Box<dyn Socket>);

/// What bytes can go over.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn status_message(&self) -> tonic_types::Status {
        prost::Message::decode(&self.body[..]).unwrap()
    }
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub fn over(socket: impl Socket + 'static) -> Self {
        Self(Box::new(socket))
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends nothing more.
    pub async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Sends bytes that the server may refuse to wait for.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// A whole request, with a length.
    pub async fn request(&mut self, method_and_path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method_and_path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.send([head.as_bytes(), body].concat()).await;
        self.answer().await
    }

    /// The head of an answer, in lower case.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).await.unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body }
    }

    /// Whether the server has closed its side, having said nothing more.
    pub async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]).await, Ok(0))
    }
}

/// One request on a connection of its own.
pub async fn once(address: SocketAddr, method_and_path: &str, headers: &str, body: &[u8]) -> Answer {
    Wire::connect(address).await.request(method_and_path, headers, body).await
}

/// A gRPC answer.
#[derive(Debug)]
pub struct Called {
    pub http: StatusCode,
    pub headers: HeaderMap,
    pub status: Option<tonic::Status>,
    pub message: Bytes,
}

/// A message in its gRPC frame.
pub fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// Sends these bytes as the body of a call over HTTP/2.
pub async fn call(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
    body: Vec<u8>,
) -> Called {
    call_with(address, path, headers, Full::new(Bytes::from(body))).await
}

/// The same with a body that may take its time.
pub async fn call_with<B>(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
    body: B,
) -> Called
where
    B: http_body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
{
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, B>(TokioExecutor::new(), stream).await.unwrap();
    let connection = forebay_pipeline::task::spawn("client", connection);
    let mut request = Request::post(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_else(|| parts.headers.clone());
    let status = tonic::Status::from_header_map(&trailers);
    connection.abort();
    Called { http: parts.status, headers: parts.headers, status, message: collected.to_bytes() }
}
