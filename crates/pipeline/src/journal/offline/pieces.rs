//! One segment, piece by piece: the same reading as [`segment::scan`], telling what it passes over.

use crate::journal::frame::{ALIGNMENT, BadFrame, Frame, Head, SALT_AT};
use crate::journal::segment::{self, Position, SEGMENT_HEAD_BYTES};
use bytes::Bytes;
use std::ops::Range;

/// A part of a segment behind its head.
#[derive(Debug)]
pub(super) enum Piece {
    Frame {
        position: Position,
        frame: Frame,
        /// Its number is one that is expected here: readers take it.
        counts: bool,
        /// The bytes behind it, up to the next frame, are zeros.
        is_padded: bool,
    },
    /// Bytes in front of a sound frame that are none.
    Bad(BadBytes),
    /// Bytes behind the last frame that readers look at.
    Tail(BadBytes),
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadBytes {
    pub offset: u64,
    pub len: u64,
    /// What was said of the first of them.
    pub why: BadFrame,
    /// The number in the first frame's head, if that is sound.
    pub number: Option<u64>,
    /// Somewhere in them a sound head is of a version or kind that this code does not know.
    pub unknown: bool,
}

/// The pieces of a segment in order.
#[derive(Debug)]
pub(super) struct Pieces<'s> {
    base: u64,
    bytes: &'s Bytes,
    wanted: Range<u64>,
    salt: Option<u64>,
    /// The lowest number that counts.
    next: u64,
    at: usize,
    /// Comes next, behind bad bytes that came first.
    held: Option<Piece>,
}

impl<'s> Pieces<'s> {
    /// `wanted` as for [`segment::scan`].
    pub(super) fn of(base: u64, bytes: &'s Bytes, wanted: Range<u64>) -> Self {
        let salt = segment::salt_in(base, bytes);
        let next = wanted.start;
        Self { base, bytes, wanted, salt, next, at: SEGMENT_HEAD_BYTES, held: None }
    }

    /// The segment's salt, once it is known: from its head, or else from its first frame.
    pub(super) fn salt(&self) -> Option<u64> {
        self.salt
    }

    fn frame_here(&mut self) -> Result<Frame, BadFrame> {
        let frame = Frame::read(&self.bytes.slice(self.at..))?;
        // Without a sound head the first frame's salt is taken for the segment's.
        if frame.head.salt == *self.salt.get_or_insert(frame.head.salt) {
            Ok(frame)
        } else {
            Err(BadFrame::NoFrame)
        }
    }

    /// Whether the bytes here are a frame of this segment, written by a later Forebay.
    fn is_unknown_here(&self, bad: BadFrame) -> bool {
        let salt = self.bytes.get(self.at + SALT_AT..).and_then(|rest| rest.first_chunk());
        bad == BadFrame::Unknown && salt.is_some_and(|salt| Some(u64::from_le_bytes(*salt)) == self.salt)
    }

    fn piece_of(&mut self, frame: Frame) -> Piece {
        let head = frame.head;
        let position = Position {
            sequence: head.sequence,
            base: self.base,
            offset: self.at as u64,
            len: head.frame_len() as u32,
        };
        let used = self.at + frame.content_len();
        let is_padded = self.bytes[used..self.at + head.frame_len()].iter().all(|byte| *byte == 0);
        let counts = head.sequence >= self.next;
        if counts {
            self.next = head.sequence + 1;
        }
        self.at += head.frame_len();
        Piece::Frame { position, frame, counts, is_padded }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        let start = self.at;
        let mut bad: Option<BadBytes> = None;
        while self.at < self.bytes.len() {
            match self.frame_here() {
                Ok(frame) if frame.head.sequence >= self.wanted.end => break,
                Ok(frame) => {
                    let len = (self.at - start) as u64;
                    let piece = self.piece_of(frame);
                    let Some(bad) = bad else { return Some(piece) };
                    self.held = Some(piece);
                    return Some(Piece::Bad(BadBytes { len, ..bad }));
                }
                Err(why) => {
                    let unknown = self.is_unknown_here(why);
                    let number = Head::read(&self.bytes[self.at..]).ok().map(|head| head.sequence);
                    let first = BadBytes { offset: start as u64, len: 0, why, number, unknown };
                    bad.get_or_insert(first).unknown |= unknown;
                    self.at += ALIGNMENT;
                }
            }
        }
        self.at = self.bytes.len();
        let len = self.bytes.len().checked_sub(start).filter(|len| *len > 0)? as u64;
        // Where there was nothing bad, sound frames stand here that their writer gave up.
        let given_up =
            BadBytes { offset: start as u64, len, why: BadFrame::NoFrame, number: None, unknown: false };
        Some(Piece::Tail(BadBytes { len, ..bad.unwrap_or(given_up) }))
    }
}
