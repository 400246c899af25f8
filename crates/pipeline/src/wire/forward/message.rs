//! What comes over a connection of Fluent Forward, around the entries ("Forward Protocol Specification v1", "Event Modes" and "Handshake Messages").

use super::pack::{Cursor, Token};
use std::fmt;

/// The longest tag, in bytes.
pub const MAX_TAG_BYTES: usize = 4096;
/// The longest name of a chunk, in bytes, with its head. Fluentd's has 24, Fluent Bit's 128.
pub const MAX_CHUNK_BYTES: usize = 512;
/// The longest options of a message, in bytes.
pub const MAX_OPTIONS_BYTES: usize = 16 << 10;

/// A client that breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("a message is an array of a tag, events and options")]
    NoMessage,
    #[error("a tag is a string of at most {MAX_TAG_BYTES} bytes")]
    Tag,
    #[error("a message ends in the middle of a value, or has a byte that begins none")]
    Broken,
    #[error("options are a map of at most {MAX_OPTIONS_BYTES} bytes")]
    Options,
    #[error("the name of a chunk is a string of at most {MAX_CHUNK_BYTES} bytes")]
    Chunk,
    #[error("events are compressed with something else than gzip or zstd")]
    Compression,
    #[error("the events are metrics or traces of Fluent Bit, and only logs are taken")]
    Signal,
}

/// How a message carries its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// One: its time and its record follow.
    One,
    /// So many entries follow.
    Listed(u32),
    /// Entries in so many bytes, which follow.
    Packed(u32),
}

/// The beginning of a message, up to its events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Opening<'b> {
    pub tag: &'b [u8],
    pub events: Events,
    /// Options follow the events.
    pub has_options: bool,
}

impl fmt::Debug for Opening<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = String::from_utf8_lossy(self.tag);
        out.debug_struct("Opening").field("tag", &tag).field("events", &self.events).finish_non_exhaustive()
    }
}

impl<'b> Opening<'b> {
    /// What `bytes` begins with, and how long that is; `None` if more of it is to come.
    ///
    /// # Errors
    /// It is no message.
    pub fn parse(bytes: &'b [u8]) -> Result<Option<(Self, usize)>, Violation> {
        let mut cursor = Cursor::new(bytes, 0);
        let fields = match (bytes.first(), cursor.token()) {
            (None, _) => return Ok(None),
            (Some(0x92..=0x94), Ok(Token::Array(fields))) => fields,
            // Nobody writes so few elements with a length of their own, but they may.
            (Some(0xdc | 0xdd), Ok(Token::Array(fields @ 2..=4))) => fields,
            (Some(0xdc | 0xdd), Err(_)) => return Ok(None),
            _ => return Err(Violation::NoMessage),
        };
        let start = cursor.at;
        let tag = match (bytes.get(start), cursor.token()) {
            (None, _) => return Ok(None),
            (_, Ok(Token::Str(tag) | Token::Bin(tag))) if tag.len() <= MAX_TAG_BYTES => tag,
            (Some(0xa0..=0xbf | 0xc4..=0xc6 | 0xd9..=0xdb), Err(_))
                if bytes.len() - start < MAX_TAG_BYTES =>
            {
                return Ok(None);
            }
            _ => return Err(Violation::Tag),
        };
        let Some((events, len)) = Events::parse(&bytes[cursor.at..]) else { return Ok(None) };
        let least = if events == Events::One { 3 } else { 2 };
        if fields < least || fields > least + 1 {
            return Err(Violation::NoMessage);
        }
        Ok(Some((Self { tag, events, has_options: fields > least }, cursor.at + len)))
    }
}

impl Events {
    /// How the events come that `bytes` begins with, and how long that head is; `None` if more of it is to come.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let length = |digits: usize| {
            let digits = bytes.get(1..=digits)?;
            Some((digits.iter().fold(0, |number, digit| number << 8 | u32::from(*digit)), 1 + digits.len()))
        };
        let packed = |(len, head)| (Self::Packed(len), head);
        let listed = |(count, head)| (Self::Listed(count), head);
        match *bytes.first()? {
            first @ 0x90..=0x9f => Some((Self::Listed((first & 0x0f).into()), 1)),
            first @ 0xa0..=0xbf => Some((Self::Packed((first & 0x1f).into()), 1)),
            0xc4 | 0xd9 => length(1).map(packed),
            0xc5 | 0xda => length(2).map(packed),
            0xc6 | 0xdb => length(4).map(packed),
            0xdc => length(2).map(listed),
            0xdd => length(4).map(listed),
            _ => Some((Self::One, 0)),
        }
    }
}

/// How packed events are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None,
    /// One member or several.
    Gzip,
    /// One frame or several.
    Zstd,
}

/// What a message says beside its events. Options that are not named here (such as `size`) are hints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The chunk's name, as it was written: it is acknowledged by the same bytes.
    pub chunk: Option<Box<[u8]>>,
    pub compression: Compression,
}

impl Options {
    /// Reads whole options: a map, or nil.
    ///
    /// # Errors
    /// They are something else, or say what cannot be done here.
    pub fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        let mut cursor = Cursor::new(bytes, 0);
        let broken = |_| Violation::Broken;
        let pairs = match cursor.token().map_err(broken)? {
            Token::Map(pairs) => pairs,
            Token::Nil => return Ok(Self::default()),
            _ => return Err(Violation::Options),
        };
        let mut options = Self::default();
        for _ in 0..pairs {
            let key = cursor.token().map_err(broken)?;
            let start = cursor.at;
            cursor.skip().map_err(broken)?;
            if let Token::Str(key) | Token::Bin(key) = key {
                options.take(key, cursor.since(start))?;
            }
        }
        Ok(options)
    }

    fn take(&mut self, key: &[u8], literal: &[u8]) -> Result<(), Violation> {
        let value = Cursor::new(literal, 0).token().map_err(|_| Violation::Broken)?;
        match (key, value) {
            (b"chunk" | b"compressed" | b"fluent_signal", Token::Nil) => {}
            (b"chunk", Token::Str(_) | Token::Bin(_)) if literal.len() <= MAX_CHUNK_BYTES => {
                self.chunk = Some(literal.into());
            }
            (b"chunk", _) => return Err(Violation::Chunk),
            (b"compressed", Token::Str(name) | Token::Bin(name)) => {
                self.compression = match name {
                    b"text" | b"" => Compression::None,
                    b"gzip" => Compression::Gzip,
                    b"zstd" => Compression::Zstd,
                    _ => return Err(Violation::Compression),
                }
            }
            (b"compressed", _) => return Err(Violation::Compression),
            // Fluent Bit: 0 is logs.
            (b"fluent_signal", Token::Int(signal)) if signal != 0 => return Err(Violation::Signal),
            _ => {}
        }
        Ok(())
    }
}

/// The acknowledgement of a chunk: `{"ack": <its name>}`.
pub fn acknowledgement(chunk: &[u8]) -> Vec<u8> {
    [b"\x81\xa3ack", chunk].concat()
}

/// What a client shows to be let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ping<'b> {
    pub hostname: &'b [u8],
    pub salt: &'b [u8],
    /// In hexadecimal: SHA-512 of salt, host name, the server's nonce, and the shared key.
    pub digest: &'b [u8],
    pub user: &'b [u8],
    /// In hexadecimal: SHA-512 of the server's salt, the user, and the password.
    pub password: &'b [u8],
}

impl fmt::Debug for Ping<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hostname = String::from_utf8_lossy(self.hostname);
        out.debug_struct("Ping").field("hostname", &hostname).finish_non_exhaustive()
    }
}

impl<'b> Ping<'b> {
    /// Reads a whole message of the handshake; `None` if it is another one.
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes, 0);
        let Ok(Token::Array(6)) = cursor.token() else { return None };
        let mut texts = [&b""[..]; 6];
        for text in &mut texts {
            let (Token::Str(bytes) | Token::Bin(bytes)) = cursor.token().ok()? else { return None };
            *text = bytes;
        }
        let [kind, hostname, salt, digest, user, password] = texts;
        (kind == b"PING" && cursor.is_at_end()).then_some(Self { hostname, salt, digest, user, password })
    }
}

/// `HELO`: what a client needs for its digests. `salt` is empty where no user is asked for.
pub fn helo(nonce: &[u8; 16], salt: &[u8]) -> Vec<u8> {
    let mut out = b"\x92\xa4HELO\x83\xa5nonce".to_vec();
    write_bin(nonce, &mut out);
    out.extend_from_slice(b"\xa4auth");
    write_bin(salt, &mut out);
    out.extend_from_slice(b"\xa9keepalive\xc3");
    out
}

/// `PONG`: whether the client is let in, or why not; and that this server has the shared key too.
pub fn pong(refused: Option<&str>, hostname: &str, digest: &str) -> Vec<u8> {
    let mut out = b"\x95\xa4PONG".to_vec();
    out.push(if refused.is_none() { 0xc3 } else { 0xc2 });
    for text in [refused.unwrap_or_default(), hostname, digest] {
        out.push(0xdb);
        out.extend_from_slice(&(text.len() as u32).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Appends at most 255 bytes as a binary.
fn write_bin(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(255)];
    out.extend_from_slice(&[0xc4, bytes.len() as u8]);
    out.extend_from_slice(bytes);
}
