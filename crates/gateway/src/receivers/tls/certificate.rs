//! The three things that we want to know of a certificate: from when and until when it holds, and whom it names (RFC 5280).
//!
//! rustls verifies certificates, but does not show these. What is read here has been verified, or is our own.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

// Tags of DER (X.690).
const BOOLEAN: u8 = 0x01;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTET_STRING: u8 = 0x04;
// Context tags of a certificate (RFC 5280, 4.1) and of a general name (4.2.1.6).
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const MAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `id-ce-subjectAltName`, 2.5.29.17.
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// Longest name that is kept, in characters.
const MAX_NAME: usize = 256;

/// From when and until when a certificate holds, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: i64,
    pub not_after: i64,
}

/// When the certificate holds; `None` if it cannot be read.
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut dates = Fields::of(certificate)?.validity;
    Some(Validity { not_before: seconds(next(&mut dates)?)?, not_after: seconds(next(&mut dates)?)? })
}

/// Whom the certificate names: the first URI, DNS name or mail address among its alternative names, or else the common
/// name of its subject; `None` if there is none of them.
pub fn name(certificate: &[u8]) -> Option<String> {
    let fields = Fields::of(certificate)?;
    let found = fields.extensions.and_then(alternative_name).or_else(|| common_name(fields.subject))?;
    Some(String::from_utf8_lossy(found).chars().take(MAX_NAME).collect())
}

/// A time as people read it.
pub fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// The parts of a certificate that are read here: the contents of their sequences.
struct Fields<'d> {
    validity: &'d [u8],
    subject: &'d [u8],
    extensions: Option<&'d [u8]>,
}

impl<'d> Fields<'d> {
    fn of(mut certificate: &'d [u8]) -> Option<Self> {
        let mut whole = inside(&mut certificate, SEQUENCE)?;
        let mut signed = inside(&mut whole, SEQUENCE)?;
        if signed.first() == Some(&VERSION) {
            next(&mut signed)?;
        }
        // Serial number, signature, issuer.
        for _ in 0..3 {
            next(&mut signed)?;
        }
        let validity = inside(&mut signed, SEQUENCE)?;
        let subject = inside(&mut signed, SEQUENCE)?;
        let mut extensions = None;
        while let Some((tag, mut content)) = next(&mut signed) {
            if tag == EXTENSIONS {
                extensions = inside(&mut content, SEQUENCE);
            }
        }
        Some(Self { validity, subject, extensions })
    }
}

fn alternative_name(mut extensions: &[u8]) -> Option<&[u8]> {
    while let Some(mut extension) = inside(&mut extensions, SEQUENCE) {
        if inside(&mut extension, OID)? != ALTERNATIVE_NAME {
            continue;
        }
        if extension.first() == Some(&BOOLEAN) {
            next(&mut extension)?;
        }
        let mut names = inside(&mut inside(&mut extension, OCTET_STRING)?, SEQUENCE)?;
        while let Some((tag, name)) = next(&mut names) {
            if matches!(tag, URI | DNS | MAIL) {
                return Some(name);
            }
        }
    }
    None
}

fn common_name(mut subject: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    while let Some(mut set) = inside(&mut subject, SET) {
        while let Some(mut attribute) = inside(&mut set, SEQUENCE) {
            if inside(&mut attribute, OID)? == COMMON_NAME {
                // The last is the most specific.
                found = next(&mut attribute).map(|(_, text)| text);
            }
        }
    }
    found
}

/// The content of the next element, which must have this tag.
fn inside<'d>(input: &mut &'d [u8], wanted: u8) -> Option<&'d [u8]> {
    let (tag, content) = next(input)?;
    (tag == wanted).then_some(content)
}

/// Takes the next element: its tag and its content. `None` at the end, and for what is no DER.
fn next<'d>(input: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    *input = rest;
    Some((tag, content))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280, 4.1.2.5).
fn seconds((tag, text): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let digits = rest.strip_suffix('Z')?;
    let pair = |at: usize| digits.get(at..at + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, pair(0)?, pair(2)?, pair(4)?, pair(6)?, pair(8)?, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}
