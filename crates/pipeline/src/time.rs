//! Time as the hot path needs it: RFC 3339 out of nanoseconds, and the hour that names a destination.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const NANOS: i64 = 1_000_000_000;
const NANOS_PER_HOUR: i64 = 3_600 * NANOS;
const SECONDS_PER_DAY: i64 = 86_400;

/// Characters of a written timestamp: `2026-11-21T08:26:04.580000000Z`.
pub const RFC3339_CHARS: usize = 30;

/// Nanoseconds since 1970, by the system's clock.
pub fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The hour since 1970 that holds `time` (nanoseconds).
pub fn hour_of(time: i64) -> i32 {
    // i64 nanoseconds span 2.6 million hours to each side.
    time.div_euclid(NANOS_PER_HOUR) as i32
}

/// Year, month (1..12) and day (1..31) of a day since 1970, in the proleptic Gregorian calendar.
///
/// Days are counted in eras of 400 years that begin on 1 March, so that the leap day comes last.
pub fn civil(day: i64) -> (i64, u32, u32) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day_of_month as u32)
}

/// Writes timestamps; remembers the last second, because neighbouring records share it.
#[derive(Clone, Debug)]
pub struct TimestampWriter {
    second: i64,
    text: [u8; RFC3339_CHARS],
}

impl Default for TimestampWriter {
    fn default() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00.000000000Z" }
    }
}

impl TimestampWriter {
    /// `time` (nanoseconds since 1970) as RFC 3339 in UTC with nine digits. i64 nanoseconds reach from 1677 to 2262, so
    /// a year always has four digits.
    pub fn format(&mut self, time: i64) -> &[u8; RFC3339_CHARS] {
        let second = time.div_euclid(NANOS);
        if second != self.second {
            self.second = second;
            self.write_second(second);
        }
        write_digits::<9>(field(&mut self.text, 20), time.rem_euclid(NANOS) as u32);
        &self.text
    }

    fn write_second(&mut self, second: i64) {
        let (year, month, day) = civil(second.div_euclid(SECONDS_PER_DAY));
        let of_day = second.rem_euclid(SECONDS_PER_DAY) as u32;
        write_digits::<4>(field(&mut self.text, 0), year as u32);
        write_digits::<2>(field(&mut self.text, 5), month);
        write_digits::<2>(field(&mut self.text, 8), day);
        write_digits::<2>(field(&mut self.text, 11), of_day / 3_600);
        write_digits::<2>(field(&mut self.text, 14), of_day / 60 % 60);
        write_digits::<2>(field(&mut self.text, 17), of_day % 60);
    }
}

/// `00`, `01` ... `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Fills `out` with the decimal digits of `value`, zeros in front: two at a time from the end.
#[inline]
fn write_digits<const N: usize>(out: &mut [u8; N], mut value: u32) {
    let (first, pairs) = out.as_rchunks_mut::<2>();
    for pair in pairs.iter_mut().rev() {
        *pair = PAIRS[(value % 100) as usize];
        value /= 100;
    }
    if let Some(digit) = first.first_mut() {
        *digit = b'0' + (value % 10) as u8;
    }
}

/// `N` bytes of `text` from `at` on.
#[inline]
fn field<const N: usize>(text: &mut [u8; RFC3339_CHARS], at: usize) -> &mut [u8; N] {
    text[at..].first_chunk_mut().unwrap_or_else(|| unreachable!("the fields of a timestamp lie inside of it"))
}

/// Which event times may choose a destination by date. An event outside goes to the day of its arrival, keeps its own time, and is
/// counted: otherwise one wild clock makes an index for every day of a century.
#[derive(Debug)]
pub struct EventWindow {
    past: i64,
    future: i64,
    outside: AtomicU64,
}

impl EventWindow {
    /// A window that reaches this far to both sides of the arrival.
    pub fn new(past: std::time::Duration, future: std::time::Duration) -> Self {
        let nanos = |span: std::time::Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Self { past: nanos(past), future: nanos(future), outside: AtomicU64::new(0) }
    }

    /// The hour that names the destination of an event.
    pub fn hour(&self, time: i64, arrived: i64) -> i32 {
        if time < arrived.saturating_sub(self.past) || time > arrived.saturating_add(self.future) {
            self.outside.fetch_add(1, Relaxed);
            return hour_of(arrived);
        }
        hour_of(time)
    }

    /// Events seen outside the window.
    pub fn outside(&self) -> u64 {
        self.outside.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn by_jiff(time: i64) -> String {
        let text = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap();
        jiff::fmt::temporal::DateTimePrinter::new().precision(Some(9)).timestamp_to_string(&text)
    }

    proptest! {
        #[test]
        fn timestamps_agree_with_a_calendar_library(times in prop::collection::vec(any::<i64>(), 1..8)) {
            let mut writer = TimestampWriter::default();
            for time in times {
                prop_assert_eq!(std::str::from_utf8(writer.format(time)).unwrap(), by_jiff(time));
            }
        }
    }

    #[test]
    fn the_cached_second_does_not_stick() {
        let mut writer = TimestampWriter::default();
        assert_eq!(writer.format(0), b"1970-01-01T00:00:00.000000000Z");
        assert_eq!(writer.format(951_782_400 * NANOS + 1), b"2000-02-29T00:00:00.000000001Z");
        assert_eq!(writer.format(0), b"1970-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn an_event_outside_the_window_goes_to_the_hour_of_its_arrival() {
        let window = EventWindow::new(Duration::from_secs(7_200), Duration::from_secs(3_600));
        let arrived = 1_000_000 * NANOS_PER_HOUR;
        assert_eq!(window.hour(arrived - 2 * NANOS_PER_HOUR, arrived), 999_998);
        assert_eq!(window.hour(arrived - 2 * NANOS_PER_HOUR - 1, arrived), 1_000_000);
        assert_eq!(window.hour(arrived + 2 * NANOS_PER_HOUR, arrived), 1_000_000);
        assert_eq!(window.outside(), 2);
    }
}
