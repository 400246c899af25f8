//! As much of HTTP/1.1 as a client of the bulk API needs, with every byte in our hand: no server of a library would break
//! its own answers.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Longest line of a head, and most headers.
const MAX_LINE: u64 = 16 << 10;
const MAX_HEADERS: usize = 100;
/// Far above the gateway's largest batch.
const MAX_BODY: usize = 256 << 20;

/// A request with its body.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Reads the next request, or `None` if the client has gone.
pub fn read_request(stream: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let first = read_line(stream)?;
    if first.is_empty() {
        return Ok(None);
    }
    let mut words = first.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        bail!("not a request: {first}");
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        ensure!(headers.len() < MAX_HEADERS, "too many headers");
        let (name, value) = line.split_once(':').context("not a header")?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        match &*name {
            "content-length" => length = value.parse()?,
            "transfer-encoding" => bail!("a body in chunks is not expected of the gateway"),
            _ => headers.push((name, value)),
        }
    }
    ensure!(length <= MAX_BODY, "a body of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Request { method, target, headers, body }))
}

/// One line without its end; empty at the end of the head, and of the connection.
fn read_line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = Vec::new();
    stream.take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8(line)?.trim_end().to_owned())
}

impl Answer {
    /// An answer in JSON.
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("content-type".into(), "application/json".into())], body }
    }

    /// Writes it whole.
    pub fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        self.write_cut(stream, self.body.len(), self.body.len())
    }

    /// Writes a head that promises `promised` bytes, and the first `sent` bytes of the body.
    pub fn write_cut(&self, stream: &mut TcpStream, promised: usize, sent: usize) -> std::io::Result<()> {
        let mut bytes = format!("HTTP/1.1 {} Answer\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("content-length: {promised}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&self.body[..sent]);
        stream.write_all(&bytes)
    }
}
