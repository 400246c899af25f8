//! Time as the hot path needs it: RFC 3339 out of nanoseconds, and the hour that names a destination.

use crate::digits::eight_digits;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const NANOS: i64 = 1_000_000_000;
const NANOS_PER_HOUR: i64 = 3_600 * NANOS;
const SECONDS_PER_DAY: i64 = 86_400;

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
    text: [u8; Self::TO_SECOND],
}

impl Default for TimestampWriter {
    fn default() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00." }
    }
}

impl TimestampWriter {
    /// Characters up to the point before the fraction.
    const TO_SECOND: usize = 20;

    /// `time` (nanoseconds since 1970) as RFC 3339 in UTC with nine digits, in two parts: `2026-11-21T08:26:04.`, and
    /// `580000000Z`. i64 nanoseconds reach from 1677 to 2262, so a year always has four digits.
    #[inline]
    pub fn format(&mut self, time: i64) -> (&[u8; 20], [u8; 10]) {
        let second = time.div_euclid(NANOS);
        if second != self.second {
            self.second = second;
            self.write_second(second);
        }
        let fraction = time.rem_euclid(NANOS) as u32;
        let [a, b, c, d, e, f, g, h] = eight_digits(fraction / 10);
        (&self.text, [a, b, c, d, e, f, g, h, b'0' + (fraction % 10) as u8, b'Z'])
    }

    #[inline(never)]
    fn write_second(&mut self, second: i64) {
        let (year, month, day) = civil(second.div_euclid(SECONDS_PER_DAY));
        let of_day = second.rem_euclid(SECONDS_PER_DAY) as u32;
        let date = eight_digits(year as u32 * 10_000 + month * 100 + day);
        let clock = eight_digits(of_day / 3_600 * 10_000 + of_day / 60 % 60 * 100 + of_day % 60);
        for (place, digit) in [0, 1, 2, 3, 5, 6, 8, 9].into_iter().zip(date) {
            self.text[place] = digit;
        }
        for (place, digit) in [11, 12, 14, 15, 17, 18].into_iter().zip(&clock[2..]) {
            self.text[place] = *digit;
        }
    }
}

/// Which event times may choose a destination by date. An event outside goes to the day of its arrival, keeps its own time, and is
/// counted: otherwise one wild clock makes an index for every day of a century.
#[derive(Debug)]
pub struct EventWindow {
    past: i64,
    future: i64,
    outside: Arc<AtomicU64>,
}

impl EventWindow {
    /// A window that reaches this far to both sides of the arrival.
    pub fn new(past: std::time::Duration, future: std::time::Duration) -> Self {
        let nanos = |span: std::time::Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Self { past: nanos(past), future: nanos(future), outside: Arc::default() }
    }

    /// The same window, counting there: a window that takes the place of another goes on with its count.
    pub fn counting(self, outside: Arc<AtomicU64>) -> Self {
        Self { outside, ..self }
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

    fn text(writer: &mut TimestampWriter, time: i64) -> String {
        let (second, fraction) = writer.format(time);
        String::from_utf8([&second[..], &fraction[..]].concat()).unwrap()
    }

    proptest! {
        #[test]
        fn timestamps_agree_with_a_calendar_library(times in prop::collection::vec(any::<i64>(), 1..8)) {
            let mut writer = TimestampWriter::default();
            for time in times {
                prop_assert_eq!(text(&mut writer, time), by_jiff(time));
            }
        }
    }

    #[test]
    fn the_cached_second_does_not_stick() {
        let mut writer = TimestampWriter::default();
        assert_eq!(text(&mut writer, 0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(text(&mut writer, 951_782_400 * NANOS + 1), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(text(&mut writer, 0), "1970-01-01T00:00:00.000000000Z");
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
