//! Reading a whole journal to say what it holds, and what is wrong with it. Nothing is changed.
//!
//! It sees the frames that [`Log::open`](crate::journal::log::Log::open) would, of one segment at a time. What a crash leaves behind is
//! told apart from damage: the first is as it should be.

use super::finding::{Finding, What};
use super::given_up;
use super::pieces::{BadBytes, Piece, Pieces};
use super::runs::Runs;
use crate::journal::cursors;
use crate::journal::cursors::{Cursors, Found};
use crate::journal::frame::Frame;
use crate::journal::inflate::Inflater;
use crate::journal::plans;
use crate::journal::segment::{self, Position, SEGMENT_HEAD_BYTES};
use crate::journal::storage::Storage;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::ops::{ControlFlow, Range};

/// A segment of more bytes is none that was written as a journal's: it is not read.
pub const MOST_SEGMENT_BYTES: u64 = 4 << 30;
/// Where the checksum of a segment's head ends; zeros follow.
const HEAD_SUM_END: usize = 36;

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Inflate each body: one that does not become what its frame states is damage.
    pub bodies: bool,
    /// A gateway writes to the folder meanwhile: numbers that no frame has, and segments that go, mean nothing.
    pub in_use: bool,
}

/// A segment, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFound {
    /// The number that its name says.
    pub base: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// When it was begun, nanoseconds since 1970, if its head is sound.
    pub created: Option<i64>,
    /// Its sound frames: how many, and the first and last number.
    pub frames: u64,
    pub first: Option<u64>,
    pub last: Option<u64>,
    /// Bytes behind the last frame that readers look at.
    pub tail_bytes: u64,
    /// The numbers that count in it.
    pub(super) wanted: Range<u64>,
}

/// What a reading found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Oldest first.
    pub segments: Vec<SegmentFound>,
    pub findings: Vec<Finding>,
    /// Bytes of all segments' files.
    pub bytes: u64,
    /// Sound frames.
    pub frames: u64,
    /// The route tables that these name, and how many frames each.
    pub plans: BTreeMap<u32, u64>,
    /// One above the last sound frame, and above every number that a cursor speaks of.
    pub end: u64,
}

impl Report {
    /// The findings that are damage, or cannot be read.
    pub fn damages(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.what.is_damage())
    }

    /// The findings that cannot be read: whether they are damaged is not known.
    pub fn unreadable(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.what.is_unreadable())
    }

    /// Numbers of frames that are lost, as far as is known.
    pub fn lost(&self) -> Runs {
        self.damages().flat_map(|finding| finding.lost().iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// Numbers of frames that are lost, and of those that are lost with what cannot be read.
    pub(super) fn missing(&self) -> Runs {
        self.damages().flat_map(|finding| finding.missing.iter().cloned()).collect()
    }
}

/// A journal that is looked at.
#[derive(Debug)]
pub struct Inspection<'s, S> {
    pub(super) storage: &'s S,
    /// Number in the name, and bytes.
    files: Vec<(u64, u64)>,
    pub(super) cursors_len: u64,
    /// What each sink has finished.
    pub cursors: Cursors,
    /// Whether that could be read.
    pub cursors_found: Found,
    /// Why the storage did not give it, if it did not.
    pub cursors_error: Option<String>,
    /// The route tables that are stored beside the frames, and the bytes of each.
    pub plans: BTreeMap<u32, u64>,
    /// Numbers of frames that an earlier repair found to be lost; they are no damage any more.
    pub given_up: Runs,
}

impl<'s, S: Storage> Inspection<'s, S> {
    /// Looks which files there are. `None` if none of them is a journal's.
    ///
    /// # Errors
    /// The storage cannot be listed.
    pub fn of(storage: &'s S) -> io::Result<Option<Self>> {
        let mut loaded = Cursors::load(storage);
        if !matches!(loaded, Ok((_, Found::Sound | Found::Missing))) {
            // A gateway may have put others in their place between two looks.
            loaded = Cursors::load(storage);
        }
        let cursors_error = loaded.as_ref().err().map(io::Error::to_string);
        let (cursors, cursors_found) = loaded.unwrap_or((Cursors::default(), Found::Damaged));
        let given_up = given_up::load(storage);
        let listed = storage.list()?;
        let mut files: Vec<(u64, u64)> =
            listed.iter().filter_map(|(name, len)| Some((segment::base_of(name)?, *len))).collect();
        files.sort_unstable();
        if files.is_empty() && cursors_found == Found::Missing {
            return Ok(None);
        }
        let plans = listed.iter().filter_map(|(name, len)| Some((plans::number_of(name)?, *len))).collect();
        let cursors_len = listed.iter().find(|(name, _)| name == cursors::NAME).map_or(0, |(_, len)| *len);
        Ok(Some(Self { storage, files, cursors_len, cursors, cursors_found, cursors_error, plans, given_up }))
    }

    /// Reads every segment, calls `each` for the sound frames in order, and tells what else there is. Where `each` has enough, the report
    /// ends too.
    pub fn read(&self, reading: Reading, each: impl FnMut(Position, &Frame) -> ControlFlow<()>) -> Report {
        let first = self.files.first().map_or(0, |(base, _)| *base);
        let low = self.cursors.low().unwrap_or(u64::MAX).min(first);
        let mut reader = Reader {
            journal: self,
            reading,
            each,
            inflater: Inflater::default(),
            next: first,
            expected: if self.cursors_found == Found::Sound { low } else { first },
            report: Report::default(),
        };
        if (0..self.files.len()).all(|at| reader.segment(at).is_continue()) {
            reader.end();
        }
        let mut report = reader.report;
        let oldest = report.segments.iter().find_map(|segment| segment.first);
        let of_cursors = self.cursors_finding(oldest);
        report.findings.splice(0..0, of_cursors);
        report
    }

    /// Numbers among these that somebody still waits for, as far as can be known.
    fn awaited(&self, gap: Range<u64>) -> Runs {
        if gap.is_empty() {
            return Runs::default();
        }
        let awaited = match self.cursors_found {
            Found::Sound => {
                let of_sinks = self.cursors.0.values().map(|cursor| {
                    let above =
                        cursor.finished_above().map(|run| run.start.max(gap.start)..run.end.min(gap.end));
                    let finished: Runs = std::iter::once(0..cursor.low()).chain(above).collect();
                    finished.missing_in(&gap)
                });
                of_sinks.flat_map(|runs| runs.iter().cloned().collect::<Vec<_>>()).collect()
            }
            Found::Missing | Found::Damaged => Runs::from(gap),
        };
        awaited.without(&self.given_up)
    }
}

/// One way through the segments.
struct Reader<'i, 's, S, F> {
    journal: &'i Inspection<'s, S>,
    reading: Reading,
    each: F,
    inflater: Inflater,
    /// The lowest number that readers take.
    next: u64,
    /// One above the last number that is accounted for: found, or told to be missing.
    expected: u64,
    report: Report,
}

impl<S: Storage, F: FnMut(Position, &Frame) -> ControlFlow<()>> Reader<'_, '_, S, F> {
    fn segment(&mut self, at: usize) -> ControlFlow<()> {
        let (base, len) = self.journal.files[at];
        let until = self.journal.files.get(at + 1).map(|(base, _)| *base);
        let name = segment::name_of(base);
        let wanted = self.next..until.unwrap_or(u64::MAX);
        let mut found = SegmentFound {
            base,
            bytes: len,
            created: None,
            frames: 0,
            first: None,
            last: None,
            tail_bytes: 0,
            wanted,
        };
        self.report.bytes += len;
        let bytes = match read(self.journal.storage, &name, len) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(name, &found, &error, until);
                self.report.segments.push(found);
                return ControlFlow::Continue(());
            }
        };
        let is_head_sound = segment::salt_in(base, &bytes).is_some();
        let created = bytes.get(16..).and_then(<[u8]>::first_chunk).filter(|_| is_head_sound);
        found.created = created.map(|created| i64::from_le_bytes(*created));
        let before = self.report.findings.len();
        let flow = self.pieces(&mut found, &bytes, until);
        if found.first.is_some() {
            let behind = bytes.get(HEAD_SUM_END..SEGMENT_HEAD_BYTES).unwrap_or_default();
            let damage = match is_head_sound {
                true if behind.iter().all(|byte| *byte == 0) => None,
                true => Some((HEAD_SUM_END..SEGMENT_HEAD_BYTES, What::NotZero)),
                false => Some((0..SEGMENT_HEAD_BYTES, What::SegmentHead)),
            };
            if let Some((range, what)) = damage {
                self.finding(name, range.start as u64..range.end as u64, what, Runs::default());
                // It stands in front of the others.
                self.report.findings[before..].rotate_right(1);
            }
        }
        self.report.segments.push(found);
        flow
    }

    fn pieces(&mut self, found: &mut SegmentFound, bytes: &Bytes, until: Option<u64>) -> ControlFlow<()> {
        let name = segment::name_of(found.base);
        let mut bad = None;
        for piece in Pieces::of(found.base, bytes, found.wanted.clone()) {
            match piece {
                Piece::Bad(region) => bad = Some(region),
                Piece::Tail(region) => {
                    found.tail_bytes = region.len;
                    self.tail(&name, &region, until);
                }
                Piece::Frame { position, frame, counts, is_padded } => {
                    let end = position.offset + u64::from(position.len);
                    if !is_padded {
                        let range = position.offset + frame.content_len() as u64..end;
                        self.finding(name.clone(), range, What::NotZero, Runs::default());
                    }
                    self.frame(found, position, &frame, counts, bad.take())?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn frame(
        &mut self,
        found: &mut SegmentFound,
        position: Position,
        frame: &Frame,
        counts: bool,
        bad: Option<BadBytes>,
    ) -> ControlFlow<()> {
        let number = position.sequence;
        let name = segment::name_of(position.base);
        let missing = if counts { self.missing_up_to(number) } else { Runs::default() };
        let range = position.offset..position.offset + u64::from(position.len);
        match bad {
            Some(bad) => {
                self.finding(name.clone(), bad.offset..bad.offset + bad.len, bytes_of(&bad), missing);
            }
            None if !missing.is_empty() => {
                self.finding(name.clone(), range.start..range.start, What::Missing, missing);
            }
            None => {}
        }
        if !counts {
            // Below its own segment's number is no place for a frame; other than that, its writer gave it up.
            let what = if number < position.base { What::Misplaced(number) } else { What::GivenUp(number) };
            self.finding(name, range, what, Runs::default());
            return ControlFlow::Continue(());
        }
        (self.next, self.expected) = (number + 1, number + 1);
        if self.reading.bodies
            && let Err(bad) = self.inflater.body(frame)
        {
            self.finding(name, range, What::Body { number, bad }, Runs::from(number..number + 1));
            return ControlFlow::Continue(());
        }
        *self.report.plans.entry(frame.head.label.plan).or_default() += 1;
        found.frames += 1;
        found.first.get_or_insert(number);
        found.last = Some(number);
        self.report.frames += 1;
        self.report.end = self.next;
        (self.each)(position, frame)
    }

    /// Bytes behind a segment's last frame. In the last segment they were torn by a crash. In another they are what a writer
    /// gave up, unless the numbers that could have stood here are missed.
    fn tail(&mut self, name: &str, tail: &BadBytes, until: Option<u64>) {
        let range = tail.offset..tail.offset + tail.len;
        let Some(until) = until else {
            let what = What::TornTail { why: tail.why, number: tail.number, unknown: tail.unknown };
            self.finding(name.to_owned(), range, what, Runs::default());
            return;
        };
        let missing = self.missing_up_to(until);
        let what = if missing.is_empty() { What::LeftOver } else { bytes_of(tail) };
        self.finding(name.to_owned(), range, what, missing);
    }

    fn unreadable(&mut self, name: String, found: &SegmentFound, error: &io::Error, until: Option<u64>) {
        if self.reading.in_use && error.kind() == io::ErrorKind::NotFound {
            self.expected = until.unwrap_or(self.expected);
            return;
        }
        let missing = self.missing_up_to(until.unwrap_or(self.journal.cursors.floor()));
        self.finding(name, 0..found.bytes, What::Unreadable(error.to_string()), missing);
    }

    /// The numbers below `number` that are awaited and were not found, told once.
    fn missing_up_to(&mut self, number: u64) -> Runs {
        let gap = self.expected..number;
        self.expected = self.expected.max(number);
        if self.reading.in_use { Runs::default() } else { self.journal.awaited(gap) }
    }

    /// Numbers behind the last frame that a cursor speaks of.
    fn end(&mut self) {
        let floor = self.journal.cursors.floor();
        let missing = self.missing_up_to(floor);
        self.report.end = self.report.end.max(floor);
        if !missing.is_empty() {
            self.finding(cursors::NAME.to_owned(), 0..0, What::Missing, missing);
        }
    }

    fn finding(&mut self, file: String, range: Range<u64>, what: What, missing: Runs) {
        let bytes = range.end.saturating_sub(range.start);
        self.report.findings.push(Finding { file, offset: range.start, bytes, what, missing });
    }
}

fn bytes_of(bad: &BadBytes) -> What {
    What::Bytes { why: bad.why, number: bad.number, unknown: bad.unknown }
}

/// All of a segment's file.
pub(super) fn read(storage: &impl Storage, name: &str, len: u64) -> io::Result<Bytes> {
    if len > MOST_SEGMENT_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any segment"));
    }
    storage.read(name, 0, len as usize).map(Bytes::from)
}
