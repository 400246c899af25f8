//! The log's way out: lines wait in a queue of bounded size for a thread of their own, so that nothing else ever waits for whoever reads
//! the log. What cannot be written is lost and counted, and the log tells so as soon as it can be written again.

use parking_lot::{Condvar, Mutex};
use serde_json::json;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Bytes of lines that may wait; a line for which there is no room is lost. As much as a pipe holds, sixteen times.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// What one line in the queue takes beside its text, in bytes.
const LINE_BYTES: usize = 64;

/// Lines on their way to the log.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    /// A line has come, or one has gone.
    moved: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread is at a line that is not in the queue any more.
    is_writing: bool,
}

impl Queue {
    /// Adds a line, newline included, or loses it. Never waits for the log.
    pub fn push(&self, line: Vec<u8>) {
        let cost = line.len() + LINE_BYTES;
        let mut waiting = self.waiting.lock();
        if waiting.bytes + cost > MAX_WAITING_BYTES {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        waiting.bytes += cost;
        waiting.lines.push_back(line);
        self.moved.notify_all();
    }

    /// Lines that were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Waits until all lines are written or lost, at most for `patience`.
    pub fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut waiting = self.waiting.lock();
        while waiting.is_writing || !waiting.lines.is_empty() {
            if self.moved.wait_until(&mut waiting, deadline).timed_out() {
                return;
            }
        }
    }

    /// Writes what comes to `out`, for ever.
    pub fn write_to(self: Arc<Self>, mut out: impl Write) {
        let mut told = 0;
        let mut is_torn = false;
        loop {
            let line = self.next();
            let lost = self.lost();
            if lost > told && write(&mut out, &notice(lost - told), &mut is_torn).is_ok() {
                told = lost;
            }
            if write(&mut out, &line, &mut is_torn).is_err() {
                self.lost.fetch_add(1, Relaxed);
            }
            self.waiting.lock().is_writing = false;
            self.moved.notify_all();
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len() + LINE_BYTES;
                waiting.is_writing = true;
                return line;
            }
            self.moved.wait(&mut waiting);
        }
    }
}

fn notice(lost: u64) -> Vec<u8> {
    let line = json!({
        "timestamp": jiff::Timestamp::now().to_string(), "level": "WARN",
        "message": "lines of this log could not be written and are lost", "lost": lost,
    });
    format!("{line}\n").into_bytes()
}

/// Writes one line. `is_torn`: the line before was written in part, and must not take this one with it.
fn write(out: &mut impl Write, line: &[u8], is_torn: &mut bool) -> io::Result<()> {
    if *is_torn {
        out.write_all(b"\n")?;
        *is_torn = false;
    }
    let mut rest = line;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                rest = &rest[count..];
                *is_torn = !rest.is_empty();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Takes so many bytes, then fails until it is mended.
    #[derive(Clone, Debug, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (written, room) = &mut *self.0.lock();
            let count = bytes.len().min(*room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= count;
            written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_lines_and_the_log_goes_on_behind_them() {
        let disk = Disk::default();
        disk.0.lock().1 = 11;
        let queue = Arc::new(Queue::default());
        let (writer, out) = (Arc::clone(&queue), disk.clone());
        // Ends with the process: it waits for lines.
        std::thread::spawn(move || writer.write_to(out));
        for line in ["first\n", "second\n", "third\n"] {
            queue.push(line.into());
            queue.flush(Duration::from_secs(10));
        }
        assert_eq!(queue.lost(), 2);
        disk.0.lock().1 = usize::MAX;
        queue.push("fourth\n".into());
        queue.flush(Duration::from_secs(10));
        let written = String::from_utf8(disk.0.lock().0.clone()).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3]), ("first", "secon", "fourth"));
        assert!(lines[2].ends_with(r#""lost":2}"#), "{written}");
    }

    #[test]
    fn what_nobody_writes_is_bounded_and_waited_for_no_longer_than_told() {
        let queue = Queue::default();
        for _ in 0..3_000 {
            queue.push(vec![b'x'; 1_000]);
        }
        assert!(queue.waiting.lock().bytes <= MAX_WAITING_BYTES);
        assert_eq!(queue.lost() as usize + queue.waiting.lock().lines.len(), 3_000);
        assert!(queue.lost() > 1_900);
        let began = Instant::now();
        queue.flush(Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50));
    }
}
