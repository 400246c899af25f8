//! The log: segments in a row, written at one end, released at the other.
//!
//! What recovery relies on, and no more: a frame is sound or it is not; where two segments hold a frame of the same number,
//! the later segment's is meant. No file says anything of another, so none can be out of step.
//!
//! A segment is never appended to after an error or a restart: the next one begins where the last known good frame ended, and
//! whatever was left behind in the old one is overruled.

use super::frame::{self, Frame, HEAD_BYTES, Head, Label, frame_len};
use super::segment::{self, Position, SEGMENT_HEAD_BYTES};
use super::storage::{Appender, Storage};
use super::walk::Extent;
use crate::planted;
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

/// Sizes of a log.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// A segment that has reached this many bytes is closed.
    pub segment_bytes: u64,
    /// Bytes of all segments together.
    pub max_bytes: u64,
    /// What is written at once ends at a multiple of so many bytes, so that no block is written twice: a power of two from
    /// [`frame::ALIGNMENT`] to [`frame::MAX_BLOCK_BYTES`].
    pub block_bytes: usize,
}

/// One body to be written.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    pub label: Label,
    /// The receiver's name.
    pub receiver: &'e [u8],
    /// The body, as it arrived or as zstd.
    pub stored: &'e [u8],
    /// `stored` is zstd of a body of so many bytes.
    pub zstd: Option<u32>,
}

impl Entry<'_> {
    /// Bytes of its frame, without those that fill a block.
    pub fn frame_len(&self) -> u64 {
        frame_len(self.receiver.len(), self.stored.len()) as u64
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk budget is used up until something is released.
    #[error("the journal is full: {used} of {max} bytes")]
    Full { used: u64, max: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Sound frames, all of them to be read again.
    pub frames: u64,
    /// One after the last of them.
    pub end: u64,
    /// Numbers between them that no frame has.
    pub gaps: Vec<std::ops::Range<u64>>,
    /// Bytes in front of a sound frame that were stepped over.
    pub skipped_bytes: u64,
    /// Bytes behind the last sound frame of a segment, cut off.
    pub torn_bytes: u64,
    /// Segments whose own head was damaged.
    pub bad_heads: u64,
    /// The route tables that frames name.
    pub plans: BTreeSet<u32>,
}

#[derive(Debug)]
struct Segment {
    base: u64,
    /// One after its last frame.
    end: u64,
    /// Bytes up to the end of its last good frame.
    len: u64,
    /// The route tables that its frames name; also those of frames that were given up.
    plans: BTreeSet<u32>,
}

impl Segment {
    fn name(&self) -> String {
        segment::name_of(self.base)
    }
}

/// An open log.
#[derive(Debug)]
pub struct Log<S: Storage> {
    storage: Arc<S>,
    config: LogConfig,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// Writes to the last segment; none if the next frame begins another.
    writer: Option<Writer<S::Appender>>,
    /// The last segment was found, and nothing makes sure yet that what was found of it is there after the next crash.
    tail_in_doubt: bool,
    /// The next frame's number.
    next: u64,
}

#[derive(Debug)]
struct Writer<A> {
    appender: A,
    salt: u64,
    /// Frames below this are durable, and so are the segment's bytes up to `synced_len`.
    synced: u64,
    synced_len: u64,
}

impl<S: Storage> Log<S> {
    /// Opens the log in `storage`, whatever state it is in, and reports every sound frame to `found` in order. `floor` is the lowest
    /// number that the next frame may have: that above every frame that a cursor speaks of.
    ///
    /// # Errors
    /// The storage cannot be listed, or a segment not be read: to go on without it would make a loss of what may be sound. Or a later
    /// Forebay has written there: to go on would remove its frames. Nothing was changed then.
    pub fn open(
        storage: Arc<S>,
        config: LogConfig,
        floor: u64,
        mut found: impl FnMut(Position),
    ) -> io::Result<(Self, Recovered)> {
        let mut files: Vec<(u64, u64)> = storage
            .list()?
            .into_iter()
            .filter_map(|(name, len)| Some((segment::base_of(&name)?, len)))
            .collect();
        files.sort_unstable();
        let mut recovered = Recovered::default();
        let mut segments = VecDeque::new();
        let mut empty = Vec::new();
        let mut next = files.first().map_or(0, |(base, _)| *base);
        for (at, (base, file_len)) in files.iter().enumerate() {
            let until = files.get(at + 1).map_or(u64::MAX, |(base, _)| *base);
            let name = segment::name_of(*base);
            let bytes = storage.read(&name, 0, *file_len as usize).map_err(|error| unread(&name, &error))?;
            let bytes = Bytes::from(bytes);
            let scan = segment::scan(*base, &bytes, next..until);
            if scan.unknown {
                return Err(later(&name));
            }
            recovered.plans.extend(&scan.plans);
            for position in &scan.frames {
                if recovered.end > 0 && position.sequence > recovered.end {
                    recovered.gaps.push(recovered.end..position.sequence);
                }
                next = position.sequence + 1;
                recovered.end = next;
                found(*position);
            }
            recovered.frames += scan.frames.len() as u64;
            recovered.skipped_bytes += scan.skipped;
            recovered.bad_heads += u64::from(scan.bad_head && !scan.frames.is_empty());
            recovered.torn_bytes += file_len.saturating_sub(scan.len);
            if scan.frames.is_empty() {
                empty.push(name);
                continue;
            }
            segments.push_back(Segment { base: *base, end: next, len: scan.len, plans: scan.plans });
        }
        for name in empty {
            // Nothing of it was ever answered for, or nothing is left.
            let _ = storage.remove(&name);
        }
        let next = next.max(floor);
        let mut log = Self { storage, config, segments, writer: None, tail_in_doubt: true, next };
        // A start is better than none, so an error waits for the first append.
        let _ = log.settle_tail();
        Ok((log, recovered))
    }

    /// Notices that the segment that is being written has no name any more, so that what is written to it is written to nothing; the
    /// next frame begins another, or fails.
    ///
    /// # Errors
    /// It has none, or the folder cannot be listed.
    pub fn check_place(&mut self) -> io::Result<()> {
        let (Some(_), Some(last)) = (&self.writer, self.segments.back()) else { return Ok(()) };
        let name = last.name();
        match self.storage.list() {
            Ok(files) if files.iter().any(|(file, _)| *file == name) => Ok(()),
            Ok(_) => {
                self.writer = None;
                Err(io::Error::other("the journal's newest file is gone"))
            }
            Err(error) => {
                self.writer = None;
                Err(error)
            }
        }
    }

    /// The number that the next frame will have.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// The route tables that the segments' frames name.
    pub fn plans(&self) -> BTreeSet<u32> {
        self.segments.iter().flat_map(|segment| &segment.plans).copied().collect()
    }

    /// The segments, as far as they are durable.
    pub fn extents(&self) -> Vec<Extent> {
        let mut extents: Vec<Extent> = self
            .segments
            .iter()
            .map(|segment| Extent { base: segment.base, end: segment.end, len: segment.len })
            .collect();
        if let (Some(writer), Some(last)) = (&self.writer, extents.last_mut()) {
            (last.end, last.len) = (writer.synced, writer.synced_len);
        }
        extents
    }

    /// Whether bodies that take so many bytes as frames would find room now.
    ///
    /// # Errors
    /// [`AppendError::Full`].
    pub fn has_room(&self, frames: u64) -> Result<(), AppendError> {
        let (used, max) = (self.bytes(), self.config.max_bytes);
        let most = used + frames + (self.config.block_bytes + SEGMENT_HEAD_BYTES) as u64;
        if most > max { Err(AppendError::Full { used, max }) } else { Ok(()) }
    }

    /// Bytes that the segment takes that the next frame goes to, before it is full.
    pub fn segment_left(&self) -> u64 {
        let written = self.writer.as_ref().and(self.segments.back()).map_or(0, |last| last.len);
        match self.config.segment_bytes.saturating_sub(written) {
            0 => self.config.segment_bytes,
            left => left,
        }
    }

    /// Writes these bodies, all or none, and says where they stand. They are durable after the next [`sync`](Self::sync).
    /// Behind the last one zeros fill the block.
    ///
    /// # Errors
    /// None of them was written, as far as any reader will ever see. After an I/O error the same holds for whatever else was not
    /// synced yet.
    pub fn append(&mut self, entries: &[Entry<'_>]) -> Result<Vec<Position>, AppendError> {
        self.has_room(entries.iter().map(Entry::frame_len).sum())?;
        self.roll()?;
        let (Some(writer), Some(segment)) = (&mut self.writer, self.segments.back_mut()) else {
            return Err(io::Error::other("a log without a segment").into());
        };
        let mut positions = Vec::with_capacity(entries.len());
        let mut heads = Vec::with_capacity(entries.len());
        let mut offset = segment.len;
        for (at, (sequence, entry)) in (self.next..).zip(entries).enumerate() {
            let end = offset + entry.frame_len();
            let is_last = at + 1 == entries.len();
            let spare = if is_last { frame::spare_to_block(end, self.config.block_bytes) } else { 0 };
            let Entry { label, receiver, stored, zstd } = entry;
            heads.push((frame::head(sequence, writer.salt, label, receiver, stored, *zstd, spare), spare));
            let len = entry.frame_len() as u32 + u32::from(spare) * frame::ALIGNMENT as u32;
            positions.push(Position { sequence, base: segment.base, offset, len });
            offset += u64::from(len);
        }
        let parts: Vec<&[u8]> = heads
            .iter()
            .zip(entries)
            .flat_map(|((head, spare), Entry { receiver, stored, .. })| {
                [&head[..], receiver, stored, frame::padding(receiver.len(), stored.len(), *spare)]
            })
            .collect();
        segment.plans.extend(entries.iter().map(|entry| entry.label.plan));
        if let Err(error) = writer.appender.append_parts(&parts) {
            self.give_up();
            return Err(error.into());
        }
        segment.len = offset;
        self.next += entries.len() as u64;
        segment.end = self.next;
        Ok(positions)
    }

    /// Makes everything appended durable, and returns the number below which all frames are.
    ///
    /// # Errors
    /// Frames from the returned number of the last success on are given up: their numbers will be used again.
    pub fn sync(&mut self) -> io::Result<u64> {
        let (Some(writer), Some(segment)) = (&mut self.writer, self.segments.back()) else {
            return Ok(self.next);
        };
        let synced = if planted::is("no-fsync") { Ok(()) } else { writer.appender.sync() };
        match synced {
            Ok(()) => {
                (writer.synced, writer.synced_len) = (self.next, segment.len);
                Ok(self.next)
            }
            Err(error) => {
                self.give_up();
                Err(error)
            }
        }
    }

    /// Where the frames of each segment are, oldest segment first; a segment is read when its turn comes.
    pub fn frames(&self) -> impl Iterator<Item = io::Result<Vec<Position>>> {
        self.segments.iter().map(|segment| {
            let bytes = self.storage.read(&segment.name(), 0, segment.len as usize)?;
            Ok(segment::scan(segment.base, &bytes.into(), segment.base..segment.end).frames)
        })
    }

    /// Removes the segments that hold only frames below `low`. Whoever keeps count of what is finished has made that durable
    /// before.
    ///
    /// # Errors
    /// A segment cannot be removed; those before it are gone.
    pub fn release(&mut self, low: u64) -> io::Result<()> {
        while let Some(oldest) = self.segments.front()
            && oldest.end <= low
        {
            let is_written = self.segments.len() == 1 && self.writer.is_some();
            if is_written && oldest.len < self.config.segment_bytes {
                return Ok(());
            }
            match self.storage.remove(&oldest.name()) {
                // Somebody was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            if is_written {
                self.writer = None;
            }
            self.segments.pop_front();
        }
        Ok(())
    }

    /// Begins a segment if there is none to write to, or the last one is full.
    fn roll(&mut self) -> io::Result<()> {
        let is_full = self.segments.back().is_some_and(|last| last.len >= self.config.segment_bytes);
        if self.writer.is_some() && !is_full {
            return Ok(());
        }
        if self.writer.is_some() {
            self.sync()?;
        }
        self.writer = None;
        self.settle_tail()?;
        let (base, salt) = (self.next, rand::random());
        let mut appender = self.storage.create(&segment::name_of(base))?;
        // A segment that failed here is written anew by the next attempt, under the same name. Its head is synced with its first frames.
        appender.append(&segment::head(base, crate::time::now(), salt))?;
        if !planted::is("no-folder-fsync") {
            self.storage.sync_names()?;
        }
        let synced_len = SEGMENT_HEAD_BYTES as u64;
        self.writer = Some(Writer { appender, salt, synced: base, synced_len });
        self.segments.push_back(Segment { base, end: base, len: synced_len, plans: BTreeSet::new() });
        Ok(())
    }

    /// Cuts what is not sound from the segment that was found last, and makes the rest durable. A newer segment before that would make a
    /// hole of frames that were found once and then not any more.
    fn settle_tail(&mut self) -> io::Result<()> {
        if let (true, Some(last)) = (self.tail_in_doubt, self.segments.back()) {
            self.storage.truncate(&last.name(), last.len)?;
        }
        self.tail_in_doubt = false;
        Ok(())
    }

    /// Nothing is known of what was written since the last sync. The segment ends there; what stands behind is overruled by the
    /// next segment, which begins with the same number.
    fn give_up(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        self.next = writer.synced;
        let Some(last) = self.segments.back_mut() else { return };
        (last.end, last.len) = (writer.synced, writer.synced_len);
        // So that a start before the next segment does not find them either. If the disk refuses this too, they are delivered
        // although their clients were told to try again.
        let _ = self.storage.truncate(&last.name(), last.len);
        if last.base == last.end {
            // Its name is the next segment's.
            self.segments.pop_back();
        }
    }
}

fn unread(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "{name} cannot be read: {error}. Nothing of it is known to be lost, so nothing was changed: let this process read it, or mend \
             the disk. If that cannot be done, `forebay journal repair` puts it aside and says what is lost with it"
        ),
    )
}

fn later(name: &str) -> io::Error {
    io::Error::other(format!(
        "{name} holds a frame of a version or kind that this Forebay does not know: start the Forebay that wrote it"
    ))
}

/// Reads a frame that was appended or found.
///
/// # Errors
/// The storage cannot be read, or the frame is not sound any more ([`io::ErrorKind::InvalidData`]).
pub fn read(storage: &impl Storage, position: Position) -> io::Result<Frame> {
    let bytes = storage.read(&segment::name_of(position.base), position.offset, position.len as usize)?;
    let frame = Frame::read(&bytes.into()).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
    if frame.head.sequence != position.sequence {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "another frame stands here"));
    }
    Ok(frame)
}

/// Reads the head of a frame.
///
/// # Errors
/// As [`read`].
pub fn read_head(storage: &impl Storage, position: Position) -> io::Result<Head> {
    let bytes = storage.read(&segment::name_of(position.base), position.offset, HEAD_BYTES)?;
    Head::read(&bytes).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))
}
