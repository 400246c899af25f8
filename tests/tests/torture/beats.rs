//! A batch as a window of Lumberjack (logstash-input-beats, PROTOCOL.md), and the wait for its acknowledgement.

use crate::client::{Answer, PATIENCE};
use crate::record::Origin;
use std::io::{ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Instant;

/// A Beat; it dials again whenever its connection has ended, which is all that it learns of a refusal.
#[derive(Debug)]
pub struct Beat {
    port: u16,
    connection: Option<TcpStream>,
    windows: u64,
}

impl Beat {
    pub fn new(port: u16) -> Self {
        Self { port, connection: None, windows: 0 }
    }

    /// Sends these records in one window, every second one compressed, and waits until the last of them is acknowledged.
    pub fn send(&mut self, origin: &Origin, numbers: &[u32]) -> Answer {
        self.windows += 1;
        let frames = frames(origin, numbers, self.windows.is_multiple_of(2));
        match self.exchange(&frames, numbers.len() as u32) {
            Ok(Ok(())) => Answer::Taken { rejected: None },
            Ok(Err(broken)) => {
                self.connection = None;
                Answer::Never(broken)
            }
            Err(_) => {
                self.connection = None;
                Answer::Nothing
            }
        }
    }

    /// The inner error is an answer that breaks the protocol.
    fn exchange(&mut self, frames: &[u8], count: u32) -> Result<std::result::Result<(), String>> {
        let connection = match &mut self.connection {
            Some(open) => open,
            none => none.insert(TcpStream::connect(("127.0.0.1", self.port))?),
        };
        let deadline = Instant::now() + PATIENCE;
        connection.set_write_timeout(Some(PATIENCE))?;
        connection.write_all(frames)?;
        let mut last = 0;
        while last != count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            connection.set_read_timeout(Some(left))?;
            let mut frame = [0; 6];
            connection.read_exact(&mut frame)?;
            let [b'2', b'A', sequence @ ..] = frame else {
                return Ok(Err(format!("no acknowledgement: {frame:?}")));
            };
            // 0 is a sign of life.
            match u32::from_be_bytes(sequence) {
                0 => {}
                sequence if sequence < last || sequence > count => {
                    return Ok(Err(format!("{sequence} acknowledged of {count}, after {last}")));
                }
                sequence => last = sequence,
            }
        }
        Ok(Ok(()))
    }
}

fn frames(origin: &Origin, numbers: &[u32], is_compressed: bool) -> Vec<u8> {
    let mut events = Vec::new();
    for (sequence, number) in (1_u32..).zip(numbers) {
        let line = origin.line(*number);
        events.extend_from_slice(b"2J");
        events.extend_from_slice(&sequence.to_be_bytes());
        events.extend_from_slice(&(line.len() as u32).to_be_bytes());
        events.extend_from_slice(line.as_bytes());
    }
    let mut frames = [b"2W", &(numbers.len() as u32).to_be_bytes()[..]].concat();
    if is_compressed {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        // Writing to a `Vec` cannot fail.
        let packed = encoder.write_all(&events).and_then(|()| encoder.finish()).unwrap_or_default();
        frames.extend_from_slice(b"2C");
        frames.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        frames.extend_from_slice(&packed);
    } else {
        frames.extend_from_slice(&events);
    }
    frames
}
