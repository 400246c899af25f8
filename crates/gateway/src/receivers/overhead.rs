//! What connections take beside the payloads that come over them: tasks, read buffers, receive windows. All of it is under one budget, so
//! that thousands of connections take no more memory than a few: where room is short they get less, and at the end none.

use crate::rate_limit::RateLimited;
use forebay_pipeline::budget::{Budget, Exhausted, Lease};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// A connection that has said nothing yet: its task, and what the runtime keeps of its socket.
const SILENT_BYTES: usize = 2 << 10;
/// What a connection takes beside its windows and its read buffer, in bytes: the state of its protocol, and what is to be written.
const HTTP1_STATE_BYTES: usize = 16 << 10;
const HTTP2_STATE_BYTES: usize = 48 << 10;
/// A call of HTTP/2: its task, its stream, and its header fields.
const CALL_BYTES: usize = 8 << 10;

/// The largest read buffer of an HTTP/1.1 connection, in bytes. It also bounds the header.
pub const READ_BUFFER_BYTES: usize = 64 << 10;
/// The same where room is short: as many header fields as HTTP/2 takes.
const NARROW_READ_BUFFER_BYTES: usize = 16 << 10;
/// Receive windows of HTTP/2, in bytes. A stream's window bounds what one request gets through in a round trip.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;
/// The same where room is short: what HTTP/2 starts with anyhow (RFC 9113, 6.9.2).
const NARROW_WINDOW: u32 = (1 << 16) - 1;
/// Connections are wide while all together take less than the budget divided by this. What is left is for many narrow ones.
const WIDE_SHARE: usize = 2;

/// Connections that are told that there is no room for them: at most so many at once, and at most this part of the budget is kept for them. The others
/// wait for their turn; after so long they are closed without a word, which is counted and told in the log.
const MAX_TURNED_AWAY: usize = 8;
const TURN_WITHIN: Duration = Duration::from_secs(5);
const TURNED_AWAY_SHARE: usize = 16;

/// The budget of all connections.
#[derive(Debug)]
pub struct Overhead {
    budget: Arc<Budget>,
    turning_away: Semaphore,
    unanswered: AtomicU64,
    lines: RateLimited,
    /// For those that are turned away.
    _reserve: Option<Lease>,
}

/// How HTTP/2 begins (RFC 9113, 3.4). No request of HTTP/1.1 does.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    Http1,
    Http2,
}

impl Spoken {
    /// By the first bytes of a client.
    pub fn by(first: &[u8]) -> Self {
        if first.starts_with(PREFACE) { Self::Http2 } else { Self::Http1 }
    }
}

/// How much one connection may have on its way to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Bytes read at once from an HTTP/1.1 connection.
    pub read_buffer: usize,
    /// Window of one HTTP/2 stream.
    pub stream: u32,
    /// Window of an HTTP/2 connection.
    pub connection: u32,
}

impl Width {
    const WIDE: Self =
        Self { read_buffer: READ_BUFFER_BYTES, stream: STREAM_WINDOW, connection: CONNECTION_WINDOW };
    pub const NARROW: Self =
        Self { read_buffer: NARROW_READ_BUFFER_BYTES, stream: NARROW_WINDOW, connection: NARROW_WINDOW };

    /// Bytes that a connection of this width takes.
    const fn bytes(self, spoken: Spoken) -> usize {
        match spoken {
            Spoken::Http1 => self.read_buffer + HTTP1_STATE_BYTES,
            Spoken::Http2 => self.connection as usize + HTTP2_STATE_BYTES,
        }
    }
}

impl Overhead {
    /// Under `budget`, of which nobody else takes anything.
    pub fn new(budget: Arc<Budget>) -> Arc<Self> {
        let each = Width::NARROW.bytes(Spoken::Http2);
        let turned_away = (budget.limit() / TURNED_AWAY_SHARE / each).min(MAX_TURNED_AWAY);
        let reserve = budget.lease(turned_away * each).ok();
        Arc::new(Self {
            budget,
            turning_away: Semaphore::new(turned_away),
            unanswered: AtomicU64::new(0),
            lines: RateLimited::default(),
            _reserve: reserve,
        })
    }

    /// For a connection that has said nothing yet.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn silent(&self) -> Result<Lease, Exhausted> {
        self.budget.lease(SILENT_BYTES)
    }

    /// For a connection that speaks HTTP, as wide as there is room for.
    ///
    /// # Errors
    /// There is no room for a narrow one either.
    pub fn http(&self, spoken: Spoken) -> Result<(Lease, Width), Exhausted> {
        let wide = Width::WIDE.bytes(spoken);
        if self.budget.used() + wide <= self.budget.limit() / WIDE_SHARE
            && let Ok(lease) = self.budget.lease(wide)
        {
            return Ok((lease, Width::WIDE));
        }
        Ok((self.budget.lease(Width::NARROW.bytes(spoken))?, Width::NARROW))
    }

    /// For a connection of another protocol, which takes `bytes` in all.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn other(&self, bytes: usize) -> Result<Lease, Exhausted> {
        self.budget.lease(bytes)
    }

    /// For a narrow connection that is told that there is no room for it. It waits for its turn, which takes no more than a silent one.
    pub async fn turn_away(&self) -> Option<SemaphorePermit<'_>> {
        let turn = timeout(TURN_WITHIN, self.turning_away.acquire()).await.ok().and_then(Result::ok);
        if turn.is_none() {
            self.let_go();
        }
        turn
    }

    /// A connection is closed without an answer, because there is not even room to say so.
    pub fn let_go(&self) {
        self.unanswered.fetch_add(1, Relaxed);
        if let Some(suppressed) = self.lines.permit() {
            let (used, limit) = self.used_and_limit();
            tracing::warn!(
                used,
                limit,
                suppressed,
                "no memory for a connection: it is closed without an answer"
            );
        }
    }

    /// Connections that were closed without an answer because there was no room for them.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Relaxed)
    }

    /// For one more call on an HTTP/2 connection.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn call(&self) -> Result<Lease, Exhausted> {
        self.budget.lease(CALL_BYTES)
    }

    /// Bytes that connections take now, and may take.
    pub fn used_and_limit(&self) -> (usize, usize) {
        (self.budget.used(), self.budget.limit())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_connections_are_wide_and_many_more_are_narrow() {
        let budget = Budget::new(16 << 20);
        let overhead = Overhead::new(Arc::clone(&budget));
        let at_rest = budget.used();
        let mut held = Vec::new();
        let mut widths = [0_usize; 2];
        while let Ok((lease, width)) = overhead.http(Spoken::Http2) {
            widths[usize::from(width == Width::NARROW)] += 1;
            held.push(lease);
        }
        assert_eq!(widths[0], 3, "half of the budget has room for three");
        assert!(widths[1] > 80, "{widths:?}");
        let refused = overhead.http(Spoken::Http2).unwrap_err();
        assert!(!refused.is_hopeless(), "there will be room again");
        held.truncate(1);
        assert_eq!(overhead.http(Spoken::Http1).unwrap().1, Width::WIDE);
        drop(held);
        assert_eq!(budget.used(), at_rest);
        assert_eq!(overhead.turning_away.available_permits(), MAX_TURNED_AWAY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_closed_without_an_answer_is_counted() {
        let overhead = Overhead::new(Budget::new(16 << 20));
        let first = overhead.turn_away().await.unwrap();
        let mut others = Vec::new();
        for _ in 1..MAX_TURNED_AWAY {
            others.push(overhead.turn_away().await.unwrap());
        }
        assert_eq!(overhead.unanswered(), 0);
        assert!(overhead.turn_away().await.is_none(), "all turns are taken");
        assert_eq!(overhead.unanswered(), 1);
        drop(first);
        assert!(overhead.turn_away().await.is_some());
        assert_eq!(overhead.unanswered(), 1);
    }

    #[test]
    fn a_small_budget_has_room_for_narrow_ones_alone() {
        let overhead = Overhead::new(Budget::new(256 << 10));
        assert_eq!(overhead.turning_away.available_permits(), 0);
        assert_eq!(overhead.http(Spoken::Http2).unwrap().1, Width::NARROW);
        assert_eq!(overhead.http(Spoken::Http1).unwrap().1, Width::WIDE);
    }
}
