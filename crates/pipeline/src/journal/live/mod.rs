//! The journal at work: a [writer](writer) that makes bodies durable in groups, and for each sink a [tap](tap) that is filled from memory
//! while the sink keeps up, and by a [consumer](consumer) from disk when it does not.

mod close;
mod consumer;
mod keeping;
mod lag;
mod reopen;
mod service;
mod stats;
mod tap;
mod writer;

#[cfg(test)]
mod tests;

pub use close::Unclosed;
pub use keeping::{Journaled, Keeping, Unkept};
pub use service::{JournalError, Service};
pub use stats::{JournalStats, Progress};
