//! One connection of a Beat: windows of Lumberjack 2 (logstash-input-beats, PROTOCOL.md), one after the other.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Outcome;

/// What Beats put into each event, and no document has.
const METADATA: &str = r#"{"@metadata":{"beat":"filebeat","type":"_doc","version":"8.19.0"},"#;

/// A window of the lines of `lines`, each an event in a frame of its own.
pub fn window(lines: &[u8]) -> Bytes {
    let events: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut frames = head(events.len());
    for (sequence, line) in (1_u32..).zip(events) {
        // Without its brace: `METADATA` has it.
        let members = &line[1..];
        frames.extend_from_slice(b"2J");
        frames.extend_from_slice(&sequence.to_be_bytes());
        frames.extend_from_slice(&((METADATA.len() + members.len()) as u32).to_be_bytes());
        frames.extend_from_slice(METADATA.as_bytes());
        frames.extend_from_slice(members);
    }
    frames.into()
}

/// The same window, its events compressed in one frame: what Filebeat sends by default, but for its level 3.
///
/// # Errors
/// It cannot be compressed.
pub fn compressed(window: &[u8]) -> Result<Bytes> {
    use std::io::Write as _;
    let (head, events) = window.split_at(HEAD_BYTES);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(events).context("compressing a window")?;
    let packed = encoder.finish().context("compressing a window")?;
    Ok([head, b"2C", &(packed.len() as u32).to_be_bytes(), &packed].concat().into())
}

const HEAD_BYTES: usize = 6;

fn head(events: usize) -> Vec<u8> {
    [b"2W", &(events as u32).to_be_bytes()[..]].concat()
}

/// A connection.
#[derive(Debug)]
pub struct BeatsClient(TcpStream);

impl BeatsClient {
    /// Connects to `address`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends a window and waits until its last event is acknowledged. A refusal is the end of the connection, which is told as a
    /// failure: a load that is refused measures nothing.
    pub(super) async fn send(&mut self, window: Bytes) -> Outcome {
        match self.exchange(&window).await {
            Ok(()) => Outcome::Accepted,
            Err(fault) => Outcome::Failed(format!("{fault:#}")),
        }
    }

    async fn exchange(&mut self, window: &[u8]) -> Result<()> {
        let count = window.get(2..HEAD_BYTES).context("no window")?;
        self.0.write_all(window).await.context("sending a window")?;
        loop {
            let mut frame = [0; HEAD_BYTES];
            self.0.read_exact(&mut frame).await.context("waiting for an acknowledgement")?;
            if !frame.starts_with(b"2A") {
                bail!("no acknowledgement: {frame:?}");
            }
            // Others are of a part, or a sign of life.
            if &frame[2..] == count {
                return Ok(());
            }
        }
    }
}
