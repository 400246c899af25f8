//! Times as logs write them: RFC 3339 with its common deviations, and epoch numbers.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const NANOS: i128 = 1_000_000_000;

/// A time that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Nanoseconds since 1970.
    pub nanos: i64,
    /// Elasticsearch's `strict_date_optional_time||epoch_millis` reads the same instant from it as it stands.
    pub canonical: bool,
}

/// The zone of times that name none.
#[derive(Clone, Debug)]
pub(crate) enum Zone<'z> {
    /// Seconds east of UTC: no need to ask a calendar for every record.
    Fixed(i32),
    Named(&'z TimeZone),
}

impl<'z> Zone<'z> {
    pub fn of(timezone: &'z TimeZone) -> Self {
        match timezone.to_fixed_offset() {
            Ok(offset) => Self::Fixed(offset.seconds()),
            Err(_) => Self::Named(timezone),
        }
    }
}

/// A date and time of day, not yet on any clock.
#[derive(Clone, Copy, Debug, Default)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    /// 60 in a leap second, which counts as the first of the next minute.
    second: i64,
    nanos: i64,
}

/// Reads a time from the text of a string: a date and time, a date alone (midnight), or an epoch number.
pub(crate) fn parse_text(text: &str, zone: &Zone<'_>) -> Option<Moment> {
    let bytes = text.as_bytes();
    if bytes.get(4) == Some(&b'-') {
        return parse_date_time(bytes, zone);
    }
    let nanos = parse_epoch(bytes)?;
    Some(Moment { nanos, canonical: false })
}

/// Reads a time from the digits of a number. An integer of milliseconds is what Elasticsearch takes every number for.
pub(super) fn parse_number(digits: &str) -> Option<Moment> {
    let nanos = parse_epoch(digits.as_bytes())?;
    let integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    Some(Moment { nanos, canonical: integer && (12..=14).contains(&digits.len()) })
}

fn parse_date_time(text: &[u8], zone: &Zone<'_>) -> Option<Moment> {
    let mut civil = Civil::default();
    let rest = parse_date(text, &mut civil)?;
    let Some((separator, rest)) = rest.split_first() else {
        return Some(Moment { nanos: in_zone(&civil, zone)?, canonical: false });
    };
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let (rest, plain_fraction) = parse_time(rest, &mut civil)?;
    if rest.is_empty() {
        return Some(Moment { nanos: in_zone(&civil, zone)?, canonical: false });
    }
    let (offset, plain_offset) = parse_offset(rest)?;
    let canonical = *separator == b'T' && plain_fraction && civil.second < 60 && plain_offset;
    Some(Moment { nanos: at_offset(&civil, offset)?, canonical })
}

/// `YYYY-MM-DD`, and what follows.
fn parse_date<'t>(text: &'t [u8], civil: &mut Civil) -> Option<&'t [u8]> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    civil.year = digits(&date[..4])?;
    civil.month = digits(&date[5..7])?;
    civil.day = digits(&date[8..])?;
    let valid =
        (1..=12).contains(&civil.month) && (1..=days_in_month(civil.year, civil.month)).contains(&civil.day);
    valid.then_some(rest)
}

/// `hh:mm:ss` and a fraction; what follows, and whether the fraction is written as Elasticsearch reads it.
fn parse_time<'t>(text: &'t [u8], civil: &mut Civil) -> Option<(&'t [u8], bool)> {
    let (time, rest) = text.split_first_chunk::<8>()?;
    if time[2] != b':' || time[5] != b':' {
        return None;
    }
    civil.hour = digits(&time[..2])?;
    civil.minute = digits(&time[3..5])?;
    civil.second = digits(&time[6..])?;
    if civil.hour > 23 || civil.minute > 59 || civil.second > 60 {
        return None;
    }
    let [point @ (b'.' | b','), fraction @ ..] = rest else {
        return Some((rest, true));
    };
    let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 {
        return None;
    }
    let kept = len.min(9);
    civil.nanos = digits(&fraction[..kept])? * 10i64.pow(9 - kept as u32);
    Some((&fraction[len..], *point == b'.' && len <= 9))
}

/// `Z`, `+hh:mm`, `+hhmm` or `+hh` to the end of the text: seconds east of UTC, and whether Elasticsearch reads it.
fn parse_offset(text: &[u8]) -> Option<(i32, bool)> {
    /// The largest offset that Java's `ZoneOffset` knows.
    const JAVA_MAX_SECONDS: i64 = 18 * 3_600;
    let (sign, hours, minutes, colon) = match text {
        [b'Z'] => return Some((0, true)),
        [b'z'] => return Some((0, false)),
        [sign, h1, h2] => (sign, [*h1, *h2], *b"00", false),
        [sign, h1, h2, m1, m2] => (sign, [*h1, *h2], [*m1, *m2], false),
        [sign, h1, h2, b':', m1, m2] => (sign, [*h1, *h2], [*m1, *m2], true),
        _ => return None,
    };
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3_600 + minutes * 60;
    match sign {
        b'+' => Some((seconds as i32, colon && seconds <= JAVA_MAX_SECONDS)),
        // `-00:00` says that the zone is not known (RFC 3339 section 4.3): readers differ on it.
        b'-' => Some((-seconds as i32, colon && (1..=JAVA_MAX_SECONDS).contains(&seconds))),
        _ => None,
    }
}

fn in_zone(civil: &Civil, zone: &Zone<'_>) -> Option<i64> {
    let timezone = match zone {
        Zone::Fixed(offset) => return at_offset(civil, *offset),
        Zone::Named(timezone) => timezone,
    };
    // The calendar knows no second 60: ask for 59 and go on one.
    let second = civil.second.min(59);
    let [year, month, day, hour, minute, second] =
        [civil.year, civil.month, civil.day, civil.hour, civil.minute, second].map(|part| part as i16);
    let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(|part| part as i8);
    let local = DateTime::new(year, month, day, hour, minute, second, civil.nanos as i32).ok()?;
    // In the hour that clocks skip or repeat, jiff takes what RFC 5545 says: the offset before the change.
    let nanos = timezone.to_timestamp(local).ok()?.as_nanosecond();
    i64::try_from(nanos + i128::from(civil.second / 60) * NANOS).ok()
}

fn at_offset(civil: &Civil, offset: i32) -> Option<i64> {
    let of_day = civil.hour * 3_600 + civil.minute * 60 + civil.second;
    let seconds = days_since_1970(civil) * 86_400 + of_day - i64::from(offset);
    i64::try_from(i128::from(seconds) * NANOS + i128::from(civil.nanos)).ok()
}

/// The inverse of [`crate::time::civil`].
fn days_since_1970(civil: &Civil) -> i64 {
    let year = civil.year - i64::from(civil.month <= 2);
    let month_from_march = (civil.month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + civil.day - 1;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    let mut value = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(value)
}

/// A count since 1970 as nanoseconds. Its size tells the unit: seconds until the year 5138, then milliseconds and so on, whose
/// ranges all begin in March 1973. Negative numbers are not understood.
fn parse_epoch(text: &[u8]) -> Option<i64> {
    let (mantissa, scale) = parse_decimal(text)?;
    // The unit as a power of ten of nanoseconds, by the integer part of the number.
    let unit = match mantissa / power(scale)? {
        0..100_000_000_000 => 9,
        100_000_000_000..100_000_000_000_000 => 6,
        100_000_000_000_000..100_000_000_000_000_000 => 3,
        _ => 0,
    };
    let nanos = if unit >= scale {
        mantissa.checked_mul(power(unit - scale)?)?
    } else {
        mantissa / power(scale - unit)?
    };
    i64::try_from(nanos).ok()
}

/// `digits[.digits][e[+-]digits]` as a whole number and the power of ten it is divided by.
fn parse_decimal(text: &[u8]) -> Option<(u128, u32)> {
    /// More digits of an integer are no time; more of a fraction are far below a nanosecond and ignored.
    const MAX_DIGITS: usize = 19;
    let (integer, rest) = split_digits(text);
    if integer.is_empty() || integer.len() > MAX_DIGITS {
        return None;
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => split_digits(rest),
        _ => (&[][..], rest),
    };
    if fraction.is_empty() && text.get(integer.len()) == Some(&b'.') {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(MAX_DIGITS - 1)];
    let mut mantissa = 0u128;
    for digit in integer.iter().chain(fraction) {
        mantissa = mantissa * 10 + u128::from(digit - b'0');
    }
    let scale = fraction.len() as i64 - parse_exponent(rest)?;
    match u32::try_from(scale) {
        Ok(scale) => Some((mantissa, scale)),
        Err(_) => Some((mantissa.checked_mul(power(u32::try_from(-scale).ok()?)?)?, 0)),
    }
}

/// Java writes doubles of ten million and more with an exponent.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    /// Nanoseconds of today as `d.ddde18`: no time needs more.
    const MAX_EXPONENT: i64 = 18;
    let (negative, exponent) = match text {
        [] => return Some(0),
        [b'e' | b'E', b'-', rest @ ..] => (true, rest),
        [b'e' | b'E', b'+', rest @ ..] | [b'e' | b'E', rest @ ..] => (false, rest),
        _ => return None,
    };
    if exponent.is_empty() || exponent.len() > 2 {
        return None;
    }
    let value = digits(exponent).filter(|value| *value <= MAX_EXPONENT)?;
    Some(if negative { -value } else { value })
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn power(exponent: u32) -> Option<u128> {
    10u128.checked_pow(exponent)
}
