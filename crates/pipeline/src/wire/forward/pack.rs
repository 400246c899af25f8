//! MessagePack as it lies in memory (msgpack/msgpack `spec.md`): one token at a time, borrowed, and the end of a value without a look into it.

use crate::wire::Malformed;

/// What a value begins with. Of an array or a map it is the number of elements or pairs that follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'b> {
    Nil,
    Bool(bool),
    Int(i64),
    /// Over what `Int` holds.
    Uint(u64),
    Double(f64),
    /// MessagePack promises UTF-8; Fluentd puts any bytes there.
    Str(&'b [u8]),
    Bin(&'b [u8]),
    Ext(i8, &'b [u8]),
    Array(u32),
    Map(u32),
}

/// The head of a value: its own bytes, the bytes behind them that belong to it, and the values inside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    len: usize,
    content: u32,
    values: u64,
}

/// The byte that MessagePack uses for nothing.
const NEVER_USED: u8 = 0xc1;

impl Head {
    /// The head that `bytes` begins with; `None` if more of it is to come.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let Some(first) = bytes.first().copied() else { return Ok(None) };
        // How many bytes of a length follow, what that length counts, and what is fixed.
        let head = match first {
            0x80..=0x8f => Self::holding(1, u64::from(first & 0x0f) * 2),
            0x90..=0x9f => Self::holding(1, u64::from(first & 0x0f)),
            0xa0..=0xbf => Self::of(1, u32::from(first & 0x1f)),
            0xcc | 0xd0 => Self::of(1, 1),
            0xcd | 0xd1 => Self::of(1, 2),
            0xce | 0xd2 | 0xca => Self::of(1, 4),
            0xcf | 0xd3 | 0xcb => Self::of(1, 8),
            // The type of an extension is a byte of its content.
            0xd4..=0xd8 => Self::of(1, (1 << (first - 0xd4)) + 1),
            0xc4 | 0xd9 => return Ok(length::<1>(bytes).map(|len| Self::of(2, len))),
            0xc5 | 0xda => return Ok(length::<2>(bytes).map(|len| Self::of(3, len))),
            0xc6 | 0xdb => return Ok(length::<4>(bytes).map(|len| Self::of(5, len))),
            0xc7 => return Ok(length::<1>(bytes).map(|len| Self::of(2, len + 1))),
            0xc8 => return Ok(length::<2>(bytes).map(|len| Self::of(3, len + 1))),
            // Nothing of this size is ever taken, so that one byte less does not matter.
            0xc9 => return Ok(length::<4>(bytes).map(|len| Self::of(5, len.saturating_add(1)))),
            0xdc => return Ok(length::<2>(bytes).map(|count| Self::holding(3, count.into()))),
            0xdd => return Ok(length::<4>(bytes).map(|count| Self::holding(5, count.into()))),
            0xde => return Ok(length::<2>(bytes).map(|count| Self::holding(3, u64::from(count) * 2))),
            0xdf => return Ok(length::<4>(bytes).map(|count| Self::holding(5, u64::from(count) * 2))),
            NEVER_USED => return Err("the byte 0xc1 begins no value"),
            _ => Self::of(1, 0),
        };
        Ok(Some(head))
    }

    const fn of(len: usize, content: u32) -> Self {
        Self { len, content, values: 0 }
    }

    const fn holding(len: usize, values: u64) -> Self {
        Self { len, content: 0, values }
    }
}

/// The big-endian length of `N` bytes behind the first one.
fn length<const N: usize>(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.get(1..)?.first_chunk::<N>()?;
    Some(digits.iter().fold(0, |number, digit| number << 8 | u32::from(*digit)))
}

/// Finds the end of values that come in pieces, and holds nothing of them: how many are still to come, and how many bytes of the current one.
#[derive(Clone, Copy, Debug)]
pub struct Skipper {
    values: u64,
    bytes: u64,
}

impl Skipper {
    /// Before `values` values.
    pub fn new(values: u64) -> Self {
        Self { values, bytes: 0 }
    }

    /// Whether all have ended.
    pub fn is_done(&self) -> bool {
        self.values == 0 && self.bytes == 0
    }

    /// The least number of bytes that are still to come.
    pub fn least(&self) -> u64 {
        self.values.saturating_add(self.bytes)
    }

    /// Passes over what `piece` has of them and says how many bytes that is. What is left of it, if they have not ended, is a part of a
    /// head: at most four bytes, to come again with more behind them.
    ///
    /// # Errors
    /// A value begins with a byte that none begins with.
    pub fn pass(&mut self, piece: &[u8]) -> Result<usize, Malformed> {
        self.pass_from(piece, 0)
    }

    /// The same of what `bytes` has from `start` on; says where it came to.
    fn pass_from(&mut self, bytes: &[u8], start: usize) -> Result<usize, Malformed> {
        let mut at = start.min(bytes.len());
        loop {
            let here = self.bytes.min((bytes.len() - at) as u64);
            at += here as usize;
            self.bytes -= here;
            if self.bytes > 0 || self.values == 0 {
                return Ok(at);
            }
            match Head::parse(&bytes[at..]) {
                Ok(Some(head)) => {
                    at += head.len;
                    self.bytes = head.content.into();
                    self.values = (self.values - 1).saturating_add(head.values);
                }
                Ok(None) => return Ok(at),
                Err(what) => return Err(syntax(at, what)),
            }
        }
    }
}

pub(super) fn syntax(offset: usize, what: &'static str) -> Malformed {
    Malformed::Syntax { format: "MessagePack", offset, what }
}

/// A place in bytes, moving forward over values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    pub at: usize,
}

impl<'b> Cursor<'b> {
    pub fn new(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// What lies between `start` and here.
    pub fn since(&self, start: usize) -> &'b [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// The next token. Behind that of an array or a map come its values.
    ///
    /// # Errors
    /// The bytes end within it, or it is none.
    pub fn token(&mut self) -> Result<Token<'b>, Malformed> {
        let bytes = self.bytes.get(self.at..).unwrap_or_default();
        let head = Head::parse(bytes).map_err(|what| syntax(self.at, what))?;
        let whole = head.and_then(|head| {
            let content = bytes.get(head.len..head.len.checked_add(head.content as usize)?)?;
            Some((bytes.first().copied()?, head, content))
        });
        let Some((first, head, content)) = whole else {
            return Err(syntax(self.at, "it ends within a value"));
        };
        self.at += head.len + content.len();
        Ok(token(first, head, content))
    }

    /// Passes over one value.
    ///
    /// # Errors
    /// The bytes end within it, or something in it is no value.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        let mut skipper = Skipper::new(1);
        let end = skipper.pass_from(self.bytes, self.at)?;
        if !skipper.is_done() {
            return Err(syntax(end, "it ends within a value"));
        }
        self.at = end;
        Ok(())
    }
}

/// The token of a whole head and content.
fn token<'b>(first: u8, head: Head, content: &'b [u8]) -> Token<'b> {
    match first {
        0x00..=0x7f => Token::Int(first.into()),
        0xe0..=0xff => Token::Int((first as i8).into()),
        0xc2 => Token::Bool(false),
        0xc3 => Token::Bool(true),
        0xca => Token::Double(f32::from_bits(number(content) as u32).into()),
        0xcb => Token::Double(f64::from_bits(number(content))),
        0xcc..=0xcf => match i64::try_from(number(content)) {
            Ok(number) => Token::Int(number),
            Err(_) => Token::Uint(number(content)),
        },
        0xd0..=0xd3 => {
            // Moved up and down again, the sign of the shorter number is that of the longer one.
            let unused = 64 - 8 * content.len() as u32;
            Token::Int(((number(content) << unused) as i64) >> unused)
        }
        0xa0..=0xbf | 0xd9..=0xdb => Token::Str(content),
        0xc4..=0xc6 => Token::Bin(content),
        0xc7..=0xc9 | 0xd4..=0xd8 => match content {
            [kind, data @ ..] => Token::Ext(*kind as i8, data),
            [] => Token::Nil,
        },
        0x90..=0x9f | 0xdc | 0xdd => Token::Array(head.values as u32),
        0x80..=0x8f | 0xde | 0xdf => Token::Map((head.values / 2) as u32),
        _ => Token::Nil,
    }
}

/// Up to eight bytes as a big-endian number.
fn number(content: &[u8]) -> u64 {
    content.iter().fold(0, |number, digit| number << 8 | u64::from(*digit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(bytes: &[u8]) -> Token<'_> {
        let mut cursor = Cursor::new(bytes, 0);
        let token = cursor.token().unwrap();
        assert!(cursor.is_at_end(), "{bytes:x?}");
        token
    }

    #[test]
    fn every_form_of_a_number_is_read() {
        let cases: [(&[u8], i64); 12] = [
            (&[0x00], 0),
            (&[0x7f], 127),
            (&[0xff], -1),
            (&[0xe0], -32),
            (&[0xcc, 0xff], 255),
            (&[0xcd, 0xff, 0xff], 65_535),
            (&[0xce, 0xff, 0xff, 0xff, 0xff], 4_294_967_295),
            (&[0xcf, 0, 0, 0, 0, 0, 0, 0, 1], 1),
            (&[0xd0, 0x80], -128),
            (&[0xd1, 0x80, 0], -32_768),
            (&[0xd2, 0x80, 0, 0, 0], -2_147_483_648),
            (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], i64::MIN),
        ];
        for (bytes, number) in cases {
            assert_eq!(one(bytes), Token::Int(number), "{bytes:x?}");
        }
        assert_eq!(one(&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Token::Uint(u64::MAX));
        assert_eq!(one(&[0xca, 0x3f, 0xc0, 0, 0]), Token::Double(1.5));
        assert_eq!(one(&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), Token::Double(1.5));
        assert_eq!(one(&[0xd7, 0, 1, 2, 3, 4, 5, 6, 7, 8]), Token::Ext(0, &[1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(one(&[0xc7, 1, 0xff, 9]), Token::Ext(-1, &[9]));
        assert_eq!(one(&[0xc7, 0, 5]), Token::Ext(5, &[]));
    }

    #[test]
    fn what_ends_early_or_is_no_value_is_a_fault() {
        for bytes in [
            &b""[..],
            b"\xc1",
            b"\xa2a",
            b"\xdb\xff\xff\xff\xff",
            b"\xc9\xff\xff\xff\xff\0",
            b"\xcf\0",
            b"\xdd\0",
        ] {
            assert!(Cursor::new(bytes, 0).token().is_err(), "{bytes:x?}");
            assert!(Cursor::new(bytes, 0).skip().is_err(), "{bytes:x?}");
        }
        assert!(Cursor::new(b"\xdf\xff\xff\xff\xff\0\0", 0).skip().is_err());
        assert!(Cursor::new(b"", 7).skip().is_err());
    }

    /// However its bytes are cut, the end of a value is where it is.
    #[test]
    fn a_value_in_pieces_ends_where_it_ends() {
        let text = [&[0xda, 0x01, 0x00][..], &[b'x'; 256]].concat();
        let map = [
            &[0xde, 0, 2, 0xa1, b'a'][..],
            &text,
            &[0xa1, b'b', 0x93, 0xc0, 0xd7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x80],
        ]
        .concat();
        let two = [&map[..], &[0xcd, 1, 2], b"\xc0 not theirs"].concat();
        for step in 1..two.len() {
            let mut skipper = Skipper::new(2);
            let (mut at, mut seen) = (0, 0);
            while !skipper.is_done() {
                seen = (seen + step).min(two.len());
                at += skipper.pass(&two[at..seen]).unwrap();
            }
            assert_eq!(at, map.len() + 3, "in steps of {step}");
        }
    }

    #[test]
    fn what_is_announced_is_known_before_it_comes() {
        let mut skipper = Skipper::new(1);
        assert_eq!(skipper.pass(b"\xdf\xff\xff\xff\xff").unwrap(), 5);
        assert_eq!(skipper.least(), 2 * u64::from(u32::MAX));
        for _ in 0..1000 {
            skipper.pass(b"\xdf\xff\xff\xff\xff").unwrap();
        }
        assert!(!skipper.is_done());
    }
}
