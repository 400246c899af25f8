//! JSON logs over TCP: one object a line, as python-logstash, Logstash's `tcp` output with `json_lines` and log routers send them.

use super::TCP;
use super::endpoint::Endpoint;
use super::house::House;
use super::lines::{
    Found, Framing, Manner, Sizes, StreamAcknowledge, StreamConnectionConfig, stream_connections,
};
use super::listener::ConnectionConfig;
use super::ports::Port;
use super::tls::TlsConfig;
use forebay_pipeline::admit::{Admitted, Refusal, Request};
use forebay_pipeline::rules::JsonRules;
use forebay_pipeline::units::{ByteSize, Period};
use forebay_pipeline::wire::json::Format;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// JSON logs over TCP, one object a line. The protocol has no answer: what cannot be taken is left unread until there is room for it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TcpConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:5959`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The time zone of times that name none, as in the IANA database: `UTC`, `Europe/Berlin`.
    pub timezone: String,
    /// The top-level field whose text is the document's id, so that a line sent twice is stored once. A dot is part of the
    /// name. Default: every line is a document of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_field: Option<String>,
    /// What a connection is read on after. Clients are never answered, whatever `acknowledge` of the whole file says: `none` reads as long
    /// as there is memory, and what is in memory is lost with the process; `durable` reads on when what was read is in the disk journal.
    pub acknowledge: StreamAcknowledge,
    /// Longest line. A longer one is counted as rejected, and the next one is read. At most 1GiB.
    pub max_line_bytes: ByteSize,
    /// Lines are admitted together: when there are so many bytes of them.
    pub batch_bytes: ByteSize,
    /// And when the first of them has waited for so long. A line is on its way so much later than it came.
    pub batch_age: Period,
    /// Bounds on its connections. Many clients do not notice that they are told to go, and lose what they send after they were cut; so connections do
    /// not age by default, and may be silent for an hour.
    #[serde(deserialize_with = "stream_connections")]
    #[schemars(with = "StreamConnectionConfig")]
    pub connections: ConnectionConfig,
    /// TLS. Default: none. There is no other word for who sends than a client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5959)),
            timezone: "UTC".to_owned(),
            id_field: None,
            acknowledge: StreamAcknowledge::None,
            max_line_bytes: ByteSize::mib(1),
            batch_bytes: ByteSize::mib(1),
            batch_age: Period::millis(100),
            connections: StreamConnectionConfig::default().into(),
            tls: None,
        }
    }
}

impl TcpConfig {
    /// Its port.
    pub(super) fn port(&self) -> Port<'_> {
        let (tls, auth) = (self.tls.as_ref(), None);
        Port { receiver: TCP, path: "tcp", listen: self.listen, connections: &self.connections, tls, auth }
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            max: self.max_line_bytes,
            batch_bytes: self.batch_bytes,
            batch_age: self.batch_age,
            acknowledge: self.acknowledge,
        }
    }

    /// How it reads what it gets.
    pub(super) fn rules(&self) -> JsonRules {
        let (timezone, id_field) = (self.timezone.clone(), self.id_field.clone());
        JsonRules { timezone, id_field, ..JsonRules::default() }
    }

    /// What a schema cannot say: each fault with the path of its setting, seen from `receivers`.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = self.sizes().faults(TCP, "max_line_bytes");
        if TimeZone::get(&self.timezone).is_err() {
            faults.push(("tcp.timezone".to_owned(), format!("there is no time zone `{}`", self.timezone)));
        }
        faults
    }
}

impl House<'_> {
    /// How such a receiver reads, if there is one.
    pub fn tcp(&self) -> Option<Manner> {
        let sizes = self.config.tcp.as_ref()?.sizes();
        Some(Manner { endpoint: self.endpoint(TCP, sizes.bounds()), framing: Box::new(JsonLines), sizes })
    }
}

/// A line break behind each object. Behind the last one the end of the stream will do.
#[derive(Debug)]
struct JsonLines;

impl Framing for JsonLines {
    fn find(&self, buffer: &[u8], from: usize, is_end: bool) -> Found {
        match memchr::memchr(b'\n', &buffer[from..]) {
            Some(len) => Found::Frame { at: 0..trimmed(&buffer[..from + len]), used: from + len + 1 },
            None if is_end && !buffer.is_empty() => {
                Found::Frame { at: 0..trimmed(buffer), used: buffer.len() }
            }
            None => Found::More { start: 0, len: None },
        }
    }

    fn end_of_rest(&self, bytes: &[u8]) -> Option<usize> {
        memchr::memchr(b'\n', bytes).map(|at| at + 1)
    }

    fn keeps_cut(&self) -> bool {
        false
    }

    fn write(&self, frame: &[u8], _: bool, append: &mut dyn FnMut(&[u8])) {
        append(frame);
        append(b"\n");
    }

    fn admit(&self, endpoint: &Endpoint, request: Request) -> Result<Admitted, Refusal> {
        endpoint.intake.admit_json(request, &endpoint.door, Format::Lines)
    }
}

/// The length of a line without white space at its end, so that a blank one is empty.
fn trimmed(line: &[u8]) -> usize {
    line.trim_ascii_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_break_or_with_the_stream() {
        let frame = |at, used| Found::Frame { at, used };
        let more = Found::More { start: 0, len: None };
        let cases: [(&[u8], usize, bool, Found); 7] = [
            (b"{}\n{}", 0, false, frame(0..2, 3)),
            (b"{}\r\n", 0, false, frame(0..2, 4)),
            (b" \r\n{}", 0, false, frame(0..0, 3)),
            (b"{}", 2, false, more.clone()),
            (b"{}\n", 2, false, frame(0..2, 3)),
            (b"{} ", 3, true, frame(0..2, 3)),
            (b"", 0, true, more),
        ];
        for (buffer, from, is_end, expected) in cases {
            assert_eq!(
                JsonLines.find(buffer, from, is_end),
                expected,
                "{:?}",
                String::from_utf8_lossy(buffer)
            );
        }
    }
}
