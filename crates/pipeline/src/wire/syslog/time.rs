//! When a message was written.

use crate::time::civil;
use crate::wire::json::time_text::{Zone, parse_text};

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const NANOS_PER_DAY: i64 = 86_400_000_000_000;
/// Characters of a time of RFC 3164: `Oct 11 22:14:15`.
pub(super) const BSD_CHARS: usize = 15;

/// A timestamp as it stands in a message whose form is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp<'b> {
    /// There is none.
    Missing,
    /// RFC 3339.
    Full(&'b str),
    /// RFC 3164: no year, and no zone.
    Bsd(&'b [u8; BSD_CHARS]),
}

/// The instant that a timestamp means, in nanoseconds since 1970. One without a year is of the year in which it is nearest to its arrival.
pub(super) fn of(stamp: Stamp<'_>, arrived: i64, zone: &Zone<'_>) -> Option<i64> {
    let text = match stamp {
        Stamp::Missing => return None,
        Stamp::Full(text) => return parse_text(text, zone).map(|moment| moment.nanos),
        Stamp::Bsd(text) => text,
    };
    let year = civil(arrived.div_euclid(NANOS_PER_DAY)).0;
    let candidates = (year - 1..=year + 1).filter_map(|year| in_year(text, year, zone));
    candidates.min_by_key(|time| time.abs_diff(arrived))
}

/// Whether these bytes look like a time of RFC 3164. The day may have a zero or a space in front.
pub(super) fn is_bsd(text: &[u8; BSD_CHARS]) -> bool {
    // A leap year, so that the 29th of February is a day. Then its year is found by the arrival, if there is one so near.
    in_year(text, 2000, &Zone::Fixed(0)).is_some()
}

fn in_year(text: &[u8; BSD_CHARS], year: i64, zone: &Zone<'_>) -> Option<i64> {
    let [m1, m2, m3, b' ', d1, d2, b' ', clock @ ..] = text else { return None };
    let month = MONTHS.iter().position(|name| **name == [*m1, *m2, *m3])? + 1;
    let ten = if *d1 == b' ' { b'0' } else { *d1 };
    let (day, clock) = ([ten, *d2], std::str::from_utf8(clock).ok()?);
    let day = std::str::from_utf8(&day).ok()?;
    parse_text(&format!("{year:04}-{month:02}-{day}T{clock}"), zone).map(|moment| moment.nanos)
}
