//! Lumberjack version 2, the protocol of Beats (logstash-input-beats, PROTOCOL.md): how its frames are told apart. Numbers are big endian.
//!
//! A writer announces how many events come (`W`), then sends each in a frame of its own (`J`), or many such frames compressed in
//! one (`C`). The reader answers with the sequence number of the last event that is safe (`A`).

/// What every frame of this version begins with.
const VERSION: u8 = b'2';

/// The head of a frame; what follows it is its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// So many events come before an acknowledgement is due. No payload.
    Window { events: u32 },
    /// An event: a JSON object of `len` bytes.
    Json { sequence: u32, len: u32 },
    /// Frames of events, compressed (zlib, RFC 1950) to `len` bytes.
    Compressed { len: u32 },
}

/// Why bytes are no Lumberjack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("a frame of version {0:#04x}; only version 2 of Lumberjack is spoken here")]
    Version(u8),
    #[error("a frame of the unknown kind {0:#04x}")]
    Kind(u8),
    #[error("a frame inside a compressed one that is no event")]
    Nested,
    #[error("the compressed frames end in the middle of one")]
    Cut,
}

impl Head {
    /// Reads the head at the beginning of `bytes`, and says how long it is. `None`: more bytes are needed.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let number = |at: usize| {
            let field = bytes.get(at..at + 4)?;
            Some(u32::from_be_bytes(field.try_into().ok()?))
        };
        match bytes {
            [] | [VERSION] => Ok(None),
            [VERSION, b'W', ..] => Ok(number(2).map(|events| (Self::Window { events }, 6))),
            [VERSION, b'C', ..] => Ok(number(2).map(|len| (Self::Compressed { len }, 6))),
            [VERSION, b'J', ..] => {
                Ok(number(2).zip(number(6)).map(|(sequence, len)| (Self::Json { sequence, len }, 10)))
            }
            [VERSION, kind, ..] => Err(Violation::Kind(*kind)),
            [version, ..] => Err(Violation::Version(*version)),
        }
    }
}

/// The events in the payload of a compressed frame, inflated: each its sequence number and its JSON text.
///
/// Nothing but events may be in there: a window or one more layer of compression is refused.
#[derive(Clone, Debug)]
pub struct Events<'b>(pub &'b [u8]);

impl<'b> Iterator for Events<'b> {
    type Item = Result<(u32, &'b [u8]), Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = match Head::parse(self.0) {
            Ok(Some((Head::Json { sequence, len }, head))) => {
                let rest = &self.0[head..];
                match rest.split_at_checked(len as usize) {
                    Some((document, rest)) => {
                        self.0 = rest;
                        return Some(Ok((sequence, document)));
                    }
                    None => Violation::Cut,
                }
            }
            Ok(Some(_)) => Violation::Nested,
            Ok(None) => Violation::Cut,
            Err(violation) => violation,
        };
        self.0 = &[];
        Some(Err(next))
    }
}

/// The frame that acknowledges all events up to `sequence` of its window. Zero acknowledges none: it says that the reader is alive.
pub fn acknowledgement(sequence: u32) -> [u8; 6] {
    let [a, b, c, d] = sequence.to_be_bytes();
    [VERSION, b'A', a, b, c, d]
}

/// Appends an event's text to `lines` as one line of newline-delimited JSON. What is no JSON stays so, and is refused with its line.
pub fn write_line(document: &[u8], lines: &mut Vec<u8>) {
    if document.trim_ascii().is_empty() {
        // An empty line would be passed over, and the event not counted.
        lines.extend_from_slice(b"null");
    } else if memchr::memchr(b'\n', document).is_none() {
        lines.extend_from_slice(document);
    } else if super::json::check_value(document).is_ok() {
        super::json::write_single_line(document, lines);
    } else {
        // A zero is as little JSON as what it stands for.
        lines.extend(document.iter().map(|byte| if *byte == b'\n' { 0 } else { *byte }));
    }
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn json(sequence: u32, document: &[u8]) -> Vec<u8> {
        let mut frame = b"2J".to_vec();
        frame.extend(sequence.to_be_bytes());
        frame.extend((document.len() as u32).to_be_bytes());
        frame.extend(document);
        frame
    }

    #[test]
    fn heads_are_read_as_the_protocol_writes_them() {
        let cases: [(&[u8], Head, usize); 3] = [
            (b"2W\0\0\x08\0", Head::Window { events: 2048 }, 6),
            (b"2J\0\0\0\x01\0\0\0\x02{}", Head::Json { sequence: 1, len: 2 }, 10),
            (b"2C\0\x01\0\0rest", Head::Compressed { len: 65_536 }, 6),
        ];
        for (bytes, head, len) in cases {
            assert_eq!(Head::parse(bytes).unwrap(), Some((head, len)));
            for cut in 0..len {
                assert_eq!(Head::parse(&bytes[..cut]).unwrap(), None, "cut at {cut}");
            }
        }
        assert_eq!(Head::parse(b"1W\0\0\0\x01"), Err(Violation::Version(b'1')));
        assert_eq!(Head::parse(b"2D\0\0\0\x01"), Err(Violation::Kind(b'D')));
        assert_eq!(Head::parse(b"2A\0\0\0\x01"), Err(Violation::Kind(b'A')));
        assert_eq!(Head::parse(b"\x16\x03\x01"), Err(Violation::Version(0x16)), "TLS on a plain port");
        assert_eq!(acknowledgement(0x0102_0304), *b"2A\x01\x02\x03\x04");
    }

    #[test]
    fn only_events_may_be_inside() {
        let all = |bytes: &[u8]| Events(bytes).map(|event| event.map(drop)).collect::<Vec<_>>();
        let good = [json(1, b"{}"), json(2, b"")].concat();
        assert_eq!(all(&good), [Ok(()), Ok(())]);
        for cut in 1..good.len() {
            let whole = usize::from(cut >= json(1, b"{}").len());
            let expected = if cut == json(1, b"{}").len() {
                vec![Ok(())]
            } else {
                [vec![Ok(()); whole], vec![Err(Violation::Cut)]].concat()
            };
            assert_eq!(all(&good[..cut]), expected, "cut at {cut}");
        }
        assert_eq!(all(b"2C\0\0\0\0"), [Err(Violation::Nested)]);
        assert_eq!(all(b"2W\0\0\0\x01"), [Err(Violation::Nested)]);
        assert_eq!(all(b"xx"), [Err(Violation::Version(b'x'))]);
    }

    #[test]
    fn an_event_is_one_line_and_never_none() {
        let line = |document: &[u8]| {
            let mut lines = Vec::new();
            write_line(document, &mut lines);
            String::from_utf8(lines).unwrap()
        };
        assert_eq!(line(b"{\"a\":1}"), "{\"a\":1}\n");
        assert_eq!(line(b"{\n \"a\": \"x y\"\r\n}"), "{\"a\":\"x y\"}\n");
        assert_eq!(line(b" \n"), "null\n");
        assert_eq!(line(b"{\"a\":\"x\ny\"}"), "{\"a\":\"x\0y\"}\n");
        assert_eq!(line(b"{\"a\":1\n2}"), "{\"a\":1\u{0}2}\n", "not 12");
    }

    proptest! {
        /// Whatever is written as frames is read as the same events; serde_json is the judge of their text.
        #[test]
        fn what_is_written_is_read(documents in prop::collection::vec(arbitrary_document(), 0..20), pretty: bool) {
            let text = |value: &serde_json::Value| if pretty { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) };
            let texts: Vec<Vec<u8>> = documents.iter().map(|value| text(value).unwrap()).collect();
            let frames: Vec<u8> = texts.iter().zip(1..).flat_map(|(text, sequence)| json(sequence, text)).collect();
            let mut lines = Vec::new();
            for (event, sequence) in Events(&frames).zip(1..) {
                let (found, document) = event.unwrap();
                prop_assert_eq!(found, sequence);
                write_line(document, &mut lines);
            }
            let read: Vec<serde_json::Value> =
                lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect();
            prop_assert_eq!(read, documents);
        }

        /// No bytes make it fail in another way than it says, or go on for ever.
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200), frames: bool) {
            let mut bytes = bytes;
            if frames && bytes.len() > 12 {
                bytes[..2].copy_from_slice(b"2J");
                bytes[6..10].copy_from_slice(&3u32.to_be_bytes());
            }
            let events = Events(&bytes).count();
            prop_assert!(events <= bytes.len() / 10 + 1);
        }
    }

    fn arbitrary_document() -> impl Strategy<Value = serde_json::Value> {
        let text = prop_oneof![Just("a\nb".to_owned()), ".*".prop_map(String::from)];
        let members = prop::collection::btree_map("[a-z@.]{1,8}", (text, any::<i64>()), 0..5);
        members.prop_map(|members| {
            members
                .into_iter()
                .map(|(key, (text, number))| (key, serde_json::json!({ "text": text, "number": number })))
                .collect()
        })
    }
}
