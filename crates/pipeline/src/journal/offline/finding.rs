//! What can be found in a journal beside sound frames.

use super::runs::Runs;
use crate::journal::frame::BadFrame;
use crate::journal::inflate::BadBody;

/// Something that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file's name.
    pub file: String,
    pub offset: u64,
    pub bytes: u64,
    pub what: What,
    /// Numbers of frames that were there once, that some sink has not finished, and that are gone; or may be in a file that cannot be read.
    pub missing: Runs,
}

impl Finding {
    /// Numbers of frames that are known to be lost.
    pub fn lost(&self) -> Runs {
        if self.what.is_unreadable() { Runs::default() } else { self.missing.clone() }
    }
}

/// Kinds of findings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    #[error("the segment's head is damaged (no frame depends on it)")]
    SegmentHead,
    #[error("damaged bytes: {why}{}", frame(number))]
    Bytes {
        /// What was said of the first of them.
        why: BadFrame,
        /// The frame whose head is sound.
        number: Option<u64>,
        /// A frame of a later Forebay stands there.
        unknown: bool,
    },
    #[error("bytes between frames that must be zero are not (no frame depends on them)")]
    NotZero,
    #[error("frame {number}: {bad}")]
    Body { number: u64, bad: BadBody },
    #[error("frames are missing")]
    Missing,
    #[error("frame {0} does not belong into a segment of this name")]
    Misplaced(u64),
    #[error("the cursors are damaged: {}", replay(*oldest))]
    Cursors { oldest: Option<u64> },
    #[error("there are no cursors: {}", replay(Some(*oldest)))]
    NoCursors { oldest: u64 },
    #[error("the routes that frames were taken under are missing: {}", present(*frames))]
    NoPlan { frames: u64 },
    #[error("the routes that frames were taken under cannot be understood ({reason}): {}", present(*frames))]
    BadPlan { frames: u64, reason: String },
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("{}: {why}{}", tail(*unknown), frame(number))]
    TornTail { why: BadFrame, number: Option<u64>, unknown: bool },
    #[error("bytes that their writer gave up; a later segment took over")]
    LeftOver,
    #[error("frame {0} was given up by its writer; another of its number came before")]
    GivenUp(u64),
}

impl What {
    /// Whether something is not as it should be. What a crash leaves behind is.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::TornTail { unknown: false, .. } | Self::LeftOver | Self::GivenUp(_))
    }

    /// Whether it is a fault that a repair takes away: nothing brings back files that are gone, and a start does without them.
    pub fn is_damage(&self) -> bool {
        self.is_fault()
            && !matches!(self, Self::NoCursors { .. } | Self::NoPlan { .. } | Self::BadPlan { .. })
    }

    /// Whether nothing is known of what is there.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }

    /// Whether a frame of a later Forebay is concerned.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Bytes { unknown: true, .. } | Self::TornTail { unknown: true, .. })
    }
}

fn replay(oldest: Option<u64>) -> String {
    let oldest = oldest.map(|oldest| format!(", {oldest},")).unwrap_or_default();
    format!("at the next start every sink begins with the oldest frame{oldest} again")
}

fn present(frames: u64) -> String {
    let (them, follow) = if frames == 1 { ("frame", "follows") } else { ("frames", "follow") };
    format!("at the next start {frames} {them} {follow} the present ones")
}

fn tail(unknown: bool) -> &'static str {
    if unknown { "bytes at the end" } else { "a torn tail, as a crash leaves it" }
}

fn frame(number: &Option<u64>) -> String {
    number.map(|number| format!(" (frame {number})")).unwrap_or_default()
}
