//! Syslog over TCP (RFC 6587) and TLS (RFC 5425): messages of RFC 5424, and of RFC 3164 as they are commonly written.

use super::SYSLOG;
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
use forebay_pipeline::wire::syslog;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Most digits of a message's length. No larger one could be kept.
const MAX_LEN_DIGITS: usize = 9;

/// Syslog over TCP and TLS: RFC 5424, and the common form of RFC 3164. The protocol has no answer: what cannot be taken is left unread until there
/// is room for it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SyslogConfig {
    /// Address and port to listen on. In a container: `0.0.0.0:5514`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The time zone of times that name none, as those of RFC 3164 do: one of the IANA database, `UTC`, `Europe/Berlin`.
    pub timezone: String,
    /// What ends a message that does not begin with its length.
    pub trailer: Trailer,
    /// What a connection is read on after. Clients are never answered, whatever `acknowledge` of the whole file says: `none` reads as long
    /// as there is memory, and what is in memory is lost with the process; `durable` reads on when what was read is in the disk journal.
    pub acknowledge: StreamAcknowledge,
    /// Longest message. Of a longer one the beginning is kept, with `syslog.truncated`. At most 1GiB.
    pub max_message_bytes: ByteSize,
    /// Messages are admitted together: when there are so many bytes of them.
    pub batch_bytes: ByteSize,
    /// And when the first of them has waited for so long. A message is on its way so much later than it came.
    pub batch_age: Period,
    /// Bounds on its connections. Many clients do not notice that they are told to go, and lose what they send after they were cut; so connections do
    /// not age by default, and may be silent for an hour.
    #[serde(deserialize_with = "stream_connections")]
    #[schemars(with = "StreamConnectionConfig")]
    pub connections: ConnectionConfig,
    /// TLS, as RFC 5425 has it. Default: none. There is no other word for who sends than a client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

/// What ends a message (RFC 6587, 3.4.2). A message may also begin with its length (3.4.1), whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trailer {
    /// A line feed or a zero byte, whichever comes first.
    #[default]
    Any,
    /// A line feed.
    LineFeed,
    /// A zero byte, as Python's SysLogHandler sends it. Line breaks are part of the message, as in tracebacks.
    Nul,
}

impl Default for SyslogConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5514)),
            timezone: "UTC".to_owned(),
            trailer: Trailer::Any,
            acknowledge: StreamAcknowledge::None,
            max_message_bytes: ByteSize::kib(64),
            batch_bytes: ByteSize::mib(1),
            batch_age: Period::millis(100),
            connections: StreamConnectionConfig::default().into(),
            tls: None,
        }
    }
}

impl SyslogConfig {
    /// Its port.
    pub(super) fn port(&self) -> Port<'_> {
        let (tls, auth) = (self.tls.as_ref(), None);
        Port {
            receiver: SYSLOG,
            path: "syslog",
            listen: self.listen,
            connections: &self.connections,
            tls,
            auth,
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            max: self.max_message_bytes,
            batch_bytes: self.batch_bytes,
            batch_age: self.batch_age,
            acknowledge: self.acknowledge,
        }
    }

    /// How it reads what it gets: the zone, of all that these say.
    pub(super) fn rules(&self) -> JsonRules {
        JsonRules { timezone: self.timezone.clone(), ..JsonRules::default() }
    }

    /// What a schema cannot say: each fault with the path of its setting, seen from `receivers`.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = self.sizes().faults(SYSLOG, "max_message_bytes");
        if TimeZone::get(&self.timezone).is_err() {
            faults.push(("syslog.timezone".to_owned(), format!("there is no time zone `{}`", self.timezone)));
        }
        faults
    }
}

impl House<'_> {
    /// How such a receiver reads, if there is one.
    pub fn syslog(&self) -> Option<Manner> {
        let config = self.config.syslog.as_ref()?;
        let (sizes, framing) = (config.sizes(), Box::new(config.trailer));
        Some(Manner { endpoint: self.endpoint(SYSLOG, sizes.bounds()), framing, sizes })
    }
}

impl Trailer {
    fn position(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Any => memchr::memchr2(b'\n', 0, bytes),
            Self::LineFeed => memchr::memchr(b'\n', bytes),
            Self::Nul => memchr::memchr(0, bytes),
        }
    }
}

/// What a buffer says of how its first message is framed.
enum Count {
    /// Its length, and where it begins.
    Known(usize, usize),
    /// It ends with a trailer.
    None,
    /// Not enough has come to tell.
    Open,
}

/// A length, a space, and the `<` that every message begins with: else a line that begins with a number would be taken for one.
fn count(buffer: &[u8]) -> Count {
    let len = buffer.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 || len > MAX_LEN_DIGITS || buffer[0] == b'0' {
        return if buffer.is_empty() { Count::Open } else { Count::None };
    }
    match buffer[len..] {
        [b' ', b'<', ..] => {
            let count = buffer[..len].iter().fold(0, |count, digit| 10 * count + usize::from(digit - b'0'));
            Count::Known(count, len + 1)
        }
        [] | [b' '] => Count::Open,
        _ => Count::None,
    }
}

impl Framing for Trailer {
    fn find(&self, buffer: &[u8], from: usize, is_end: bool) -> Found {
        match count(buffer) {
            Count::Known(len, start) if buffer.len() - start >= len => {
                return Found::Frame { at: start..start + len, used: start + len };
            }
            Count::Known(_, start) if is_end => {
                return Found::Frame { at: start..buffer.len(), used: buffer.len() };
            }
            Count::Known(len, start) => return Found::More { start, len: Some(len) },
            Count::None | Count::Open => {}
        }
        match self.position(&buffer[from..]) {
            Some(len) => Found::Frame { at: 0..said(&buffer[..from + len]), used: from + len + 1 },
            None if is_end && !buffer.is_empty() => Found::Frame { at: 0..said(buffer), used: buffer.len() },
            None => Found::More { start: 0, len: None },
        }
    }

    fn end_of_rest(&self, bytes: &[u8]) -> Option<usize> {
        self.position(bytes).map(|at| at + 1)
    }

    fn keeps_cut(&self) -> bool {
        true
    }

    fn write(&self, frame: &[u8], is_cut: bool, append: &mut dyn FnMut(&[u8])) {
        append(&syslog::head(frame.len(), is_cut));
        append(frame);
    }

    fn admit(&self, endpoint: &Endpoint, request: Request) -> Result<Admitted, Refusal> {
        endpoint.intake.admit_syslog(request, &endpoint.door)
    }
}

/// The length of what was said: nothing, if it is white space alone.
fn said(line: &[u8]) -> usize {
    if line.trim_ascii().is_empty() { 0 } else { line.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(at: std::ops::Range<usize>, used: usize) -> Found {
        Found::Frame { at, used }
    }

    #[test]
    fn a_message_has_a_length_before_it_or_a_trailer_behind_it() {
        let more = |start, len| Found::More { start, len };
        let cases: [(&[u8], bool, Found); 17] = [
            (b"8 <1>abcde", false, frame(2..10, 10)),
            (b"8 <1>abcd", false, more(2, Some(8))),
            (b"8 <1>abcd", true, frame(2..9, 9)),
            (b"8", false, more(0, None)),
            (b"8 ", false, more(0, None)),
            (b"8", true, frame(0..1, 1)),
            (b"<1>a\n<2>", false, frame(0..4, 5)),
            (b"<1>a\0<2>", false, frame(0..4, 5)),
            (b"<1>a", false, more(0, None)),
            (b"<1>a", true, frame(0..4, 4)),
            // Numbers that are no lengths.
            (b"12:00 noon\n", false, frame(0..10, 11)),
            (b"12 noon\n", false, frame(0..7, 8)),
            (b"012 <1>\n", false, frame(0..7, 8)),
            (b"1234567890 <1>\n", false, frame(0..14, 15)),
            (b"\n8 <1>abcde", false, frame(0..0, 1)),
            (b" \r\n", false, frame(0..0, 3)),
            (b"", true, more(0, None)),
        ];
        for (buffer, is_end, expected) in cases {
            assert_eq!(
                Trailer::Any.find(buffer, 0, is_end),
                expected,
                "{:?}",
                String::from_utf8_lossy(buffer)
            );
        }
    }

    #[test]
    fn the_trailer_can_be_chosen() {
        assert_eq!(Trailer::Nul.find(b"<1>a\nb\0", 0, false), frame(0..6, 7));
        assert_eq!(Trailer::LineFeed.find(b"<1>a\0b\n", 0, false), frame(0..6, 7));
        assert_eq!(Trailer::Any.find(b"<1>a\n", 4, false), frame(0..4, 5));
        assert_eq!(Trailer::Nul.end_of_rest(b"a\nb\0c"), Some(4));
        assert_eq!(Trailer::Any.end_of_rest(b"abc"), None);
    }
}
