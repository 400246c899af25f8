//! Fluent Forward (fluentd wiki, "Forward Protocol Specification v1"; v1.5 for `[time, metadata]`): events of Fluentd and Fluent Bit in MessagePack.
//!
//! A body is the same whatever mode its events came in: every entry as it arrived, `[time, record]`, one behind the other; then, as
//! MessagePack, the tag (a string) and the chunk's name (a string or nil); and how long those two are, in four bytes, big endian. So
//! entries are never decoded and encoded again, and they stand in front, because the chunk's name comes behind them.
//!
//! [`check`] accepts what a reader of MessagePack accepts, but for: keys of maps that are no UTF-8 text, nesting over
//! [`MAX_NESTING`](super::MAX_NESTING), and the limits of [`Limits`](super::Limits). An entry that is refused is refused by itself.

mod check;
mod fields;
pub mod message;
mod pack;
mod walk;

#[cfg(test)]
mod tests;

pub use check::check;
pub(crate) use fields::{Fields, Level};
pub use pack::Skipper;
pub use walk::walk_nested;
pub(crate) use walk::walk_record;

/// The bytes that [`write_trailer`] adds to the tag and the chunk's name.
pub const TRAILER_BYTES: usize = 1 + 4 + 1 + 4;

/// Appends what stands behind the entries of a body. `chunk` is a string of MessagePack as the client wrote it.
pub fn write_trailer(tag: &[u8], chunk: Option<&[u8]>, out: &mut Vec<u8>) {
    let start = out.len();
    // A length of 32 bits is always right.
    out.push(0xdb);
    out.extend_from_slice(&(tag.len() as u32).to_be_bytes());
    out.extend_from_slice(tag);
    out.extend_from_slice(chunk.unwrap_or(&[0xc0]));
    out.extend_from_slice(&((out.len() - start) as u32).to_be_bytes());
}
