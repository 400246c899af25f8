//! Times as the protocols write them: unsigned nanoseconds, which reach to 2554.

use super::draft::Draft;
use crate::time::{TimestampWriter, civil};

/// Appends `name` and RFC 3339, with a quote behind it. [`TimestampWriter`]'s times reach to 2262.
#[inline(always)]
pub(super) fn write_time<const N: usize>(
    name: &[u8; N],
    nanos: u64,
    writer: &mut TimestampWriter,
    out: &mut Draft,
) {
    match i64::try_from(nanos) {
        Ok(nanos) => {
            let (second, fraction) = writer.format(nanos);
            out.named_time(name, second, &fraction);
        }
        Err(_) => {
            out.literal(name);
            write_far_time(nanos, out);
        }
    }
}

#[cold]
fn write_far_time(nanos: u64, out: &mut Draft) {
    let (second, fraction) = ((nanos / 1_000_000_000) as i64, nanos % 1_000_000_000);
    let (year, month, day) = civil(second / 86_400);
    let (hour, minute, second) = (second / 3_600 % 24, second / 60 % 60, second % 60);
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z\"");
    out.extend(text.as_bytes());
}
