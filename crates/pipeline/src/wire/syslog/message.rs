//! One message: which form it has, and what its parts are.

use super::data;
use super::time::{BSD_CHARS, Stamp, is_bsd};
use crate::record::{Nested, Text, Value};
use crate::wire::WireId;
use crate::wire::json::time_text::{Zone, parse_text};

/// What may stand before a message to say that it is UTF-8 (RFC 5424, 6.4).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The largest priority: facility 23, severity 7 (RFC 5424, 6.2.1).
const MAX_PRIORITY: u8 = 191;

/// Severities by number (RFC 5424, table 2) in capitals, and the severity numbers of OpenTelemetry that its data model maps them to (Logs Data Model,
/// appendix B).
const SEVERITIES: [(&str, i64); 8] = [
    ("EMERGENCY", 21),
    ("ALERT", 19),
    ("CRITICAL", 18),
    ("ERROR", 17),
    ("WARNING", 13),
    ("NOTICE", 10),
    ("INFO", 9),
    ("DEBUG", 5),
];

/// Facilities by number (RFC 5424, table 1), by the names that syslog.conf has for them.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// The parts of a message. Those that it lacks are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    /// Facility times eight, and severity.
    pub priority: Option<u8>,
    /// RFC 5424's; 0 in the older form.
    pub version: u16,
    pub timestamp: Stamp<'b>,
    pub hostname: &'b str,
    pub app_name: &'b str,
    pub proc_id: &'b str,
    pub msg_id: &'b str,
    pub data: &'b [u8],
    /// Any bytes: only messages that say so must be UTF-8.
    pub text: &'b [u8],
    /// It has a known form. Otherwise the text is all of it.
    pub is_parsed: bool,
}

impl<'b> Message<'b> {
    const EMPTY: Self = Self {
        priority: None,
        version: 0,
        timestamp: Stamp::Missing,
        hostname: "",
        app_name: "",
        proc_id: "",
        msg_id: "",
        data: b"",
        text: b"",
        is_parsed: true,
    };

    /// Reads a message, whatever it is. Line breaks and zeros at its end are not part of it.
    pub fn parse(frame: &'b [u8]) -> Self {
        let end =
            frame.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
        let frame = &frame[..end];
        let Some((priority, rest)) = priority(frame) else {
            return Self { text: frame, is_parsed: false, ..Self::EMPTY };
        };
        let message = match rest {
            [b'1'..=b'9', ..] if version(rest).is_some() => {
                standard(rest).unwrap_or(Self { text: frame, is_parsed: false, ..Self::EMPTY })
            }
            _ => common(rest),
        };
        Self { priority: Some(priority), ..message }
    }

    /// Pushes its fields, by the names of the document, in order. `is_cut`: there was more of it.
    pub fn walk(&self, is_cut: bool, visit: &mut dyn FnMut(&'static str, Value<'b>)) {
        let severity = self.priority.map(|priority| SEVERITIES[usize::from(priority & 7)]);
        if let Some((name, number)) = severity {
            visit("level", Value::Str(name.into()));
            visit("severity_number", Value::Int(number));
        }
        let is_text = std::str::from_utf8(self.text).is_ok();
        let text = if is_text { Value::Str(Text::checked(self.text)) } else { Value::Bytes(self.text) };
        visit("message", text);
        for (name, text) in [
            ("hostname", self.hostname),
            ("app_name", self.app_name),
            ("proc_id", self.proc_id),
            ("msg_id", self.msg_id),
        ] {
            if !text.is_empty() {
                visit(name, Value::Str(text.into()));
            }
        }
        if !self.data.is_empty() {
            visit("structured_data", Value::Map(Nested { wire: WireId::Syslog, bytes: self.data }));
        }
        if let Some(priority) = self.priority {
            let facility = FACILITIES[usize::from(priority / 8).min(FACILITIES.len() - 1)];
            visit("syslog.facility", Value::Str(facility.into()));
            visit("syslog.priority", Value::Int(priority.into()));
        }
        if self.version > 0 {
            visit("syslog.version", Value::Int(self.version.into()));
        }
        for (name, is) in [
            ("syslog.unparsed", !self.is_parsed),
            ("syslog.truncated", is_cut),
            ("syslog.invalid_utf8", !is_text),
        ] {
            if is {
                visit(name, Value::Bool(true));
            }
        }
    }
}

/// `<PRI>`, and what follows.
fn priority(frame: &[u8]) -> Option<(u8, &[u8])> {
    let rest = frame.strip_prefix(b"<")?;
    let len = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let digits = &rest[..len];
    // RFC 5424, 6.2.1: no zeros in front, but for 0 itself.
    if !digits.iter().all(u8::is_ascii_digit) || digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number <= MAX_PRIORITY).then(|| (number, &rest[len + 1..]))
}

/// The version and the space behind it: what follows. One to three digits that do not begin with a zero.
fn version(rest: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, behind) = token(rest)?;
    let number = digits.parse().ok()?;
    let is_version = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_version.then_some((number, behind?))
}

/// RFC 5424, 6, from the version on.
fn standard(rest: &[u8]) -> Option<Message<'_>> {
    let (version, rest) = version(rest)?;
    let (timestamp, rest) = token(rest)?;
    let timestamp = match timestamp {
        "-" => Stamp::Missing,
        text => full(text)?,
    };
    let (hostname, rest) = part(rest)?;
    let (app_name, rest) = part(rest)?;
    let (proc_id, rest) = part(rest)?;
    let (msg_id, rest) = part(rest)?;
    let rest = rest?;
    let len = if rest.first() == Some(&b'-') { 1 } else { data::len(rest)? };
    let (data, text) = rest.split_at(len);
    let text = match text {
        [] => text,
        [b' ', text @ ..] => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
        _ => return None,
    };
    let data = if data == b"-" { b"" } else { data };
    Some(Message { version, timestamp, hostname, app_name, proc_id, msg_id, data, text, ..Message::EMPTY })
}

/// A word and what is behind the space after it; `-` is none.
fn part(rest: Option<&[u8]>) -> Option<(&str, Option<&[u8]>)> {
    let (word, rest) = token(rest?)?;
    Some((if word == "-" { "" } else { word }, rest))
}

/// A time of RFC 3339 with date and time of day.
fn full(text: &str) -> Option<Stamp<'_>> {
    let is_time = text.as_bytes().get(10) == Some(&b'T') && parse_text(text, &Zone::Fixed(0)).is_some();
    is_time.then_some(Stamp::Full(text))
}

/// A word of UTF-8, and what is behind the space after it, if there is one.
fn token(bytes: &[u8]) -> Option<(&str, Option<&[u8]>)> {
    let len = memchr::memchr(b' ', bytes).unwrap_or(bytes.len());
    let word = std::str::from_utf8(&bytes[..len]).ok()?;
    let is_word = len > 0 && !word.bytes().any(|byte| byte.is_ascii_control());
    is_word.then(|| (word, bytes.get(len + 1..)))
}

/// RFC 3164, 4.1, from the time on. Without a time that is one, all is text (4.3.2 and 4.3.3).
fn common(rest: &[u8]) -> Message<'_> {
    let bare = Message { text: rest, ..Message::EMPTY };
    let Some((timestamp, rest)) = old_time(rest) else { return bare };
    let Some((word, behind)) = token(rest) else { return Message { timestamp, text: rest, ..bare } };
    // What a process writes to its own machine's syslog has no host's name.
    let (hostname, rest) = match behind {
        Some(behind) if !word.ends_with(':') => (word, behind),
        _ => ("", rest),
    };
    let (app_name, proc_id, text) = tag(rest).unwrap_or(("", "", rest));
    Message { timestamp, hostname, app_name, proc_id, text, ..bare }
}

/// A time in one of the forms that precede a host's name, with the space behind it.
fn old_time(rest: &[u8]) -> Option<(Stamp<'_>, &[u8])> {
    if let Some((text, [b' ', behind @ ..])) = rest.split_first_chunk::<BSD_CHARS>()
        && is_bsd(text)
    {
        return Some((Stamp::Bsd(text), behind));
    }
    let (word, behind) = token(rest)?;
    Some((full(word)?, behind?))
}

/// `name[process]: text` or `name: text`.
fn tag(rest: &[u8]) -> Option<(&str, &str, &[u8])> {
    let len = rest.iter().position(|byte| matches!(byte, b':' | b'[' | b' '))?;
    let (name, behind) = rest.split_at(len);
    let (process, text) = match behind {
        [b'[', behind @ ..] => {
            let len = memchr::memchr2(b']', b' ', behind)?;
            (&behind[..len], behind[len..].strip_prefix(b"]:")?)
        }
        [b':', text @ ..] => (&b""[..], text),
        _ => return None,
    };
    if name.is_empty() {
        return None;
    }
    let (name, process) = (std::str::from_utf8(name).ok()?, std::str::from_utf8(process).ok()?);
    Some((name, process, text.strip_prefix(b" ").unwrap_or(text)))
}
