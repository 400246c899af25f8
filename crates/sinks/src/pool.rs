//! Buffers that are used again: a fresh one of megabytes costs a page fault for every page that it grows into.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// Idle buffers kept at most, each as large as a payload of its sink.
const MOST_IDLE: usize = 8;

/// The idle buffers of one sink.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// An empty buffer, with room if one was used before.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    /// The buffer's content; the buffer comes back here when the last reader is done, unless it has grown beyond `most` bytes.
    pub(crate) fn lend(&self, buffer: Vec<u8>, most: usize) -> Bytes {
        if buffer.capacity() > most {
            return buffer.into();
        }
        Bytes::from_owner(Lent { buffer, pool: self.clone() })
    }
}

#[derive(Debug)]
struct Lent {
    buffer: Vec<u8>,
    pool: Pool,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut idle = self.pool.0.lock();
        if idle.len() < MOST_IDLE {
            self.buffer.clear();
            idle.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_reader_is_done() {
        let pool = Pool::default();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"abc");
        let (room, lent) = (buffer.capacity(), pool.lend(buffer, 1 << 20));
        let reader = lent.clone();
        drop(lent);
        assert_eq!(pool.take().capacity(), 0, "still being read");
        assert_eq!(reader, "abc");
        drop(reader);
        let again = pool.take();
        assert_eq!((again.len(), again.capacity()), (0, room));
    }

    #[test]
    fn a_buffer_that_one_large_record_has_grown_does_not_come_back() {
        let pool = Pool::default();
        drop(pool.lend(Vec::with_capacity(101), 100));
        assert_eq!(pool.0.lock().len(), 0);
    }

    #[test]
    fn no_more_than_a_few_idle_buffers_are_kept() {
        let pool = Pool::default();
        let lent: Vec<Bytes> = (0..3 * MOST_IDLE).map(|_| pool.lend(vec![0; 10], 1 << 20)).collect();
        drop(lent);
        assert_eq!(pool.0.lock().len(), MOST_IDLE);
    }
}
