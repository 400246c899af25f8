//! Making a damaged journal sound again.
//!
//! What is sound stays byte for byte. A damaged segment is written anew with its sound frames; cursors that cannot be read go, so that all
//! is delivered again. Each file that is changed or removed is kept as it was on a shelf, a folder beside them. Numbers that are lost are
//! written down.
//!
//! Order: the losses; then for each segment from the oldest on the new one under another name, synced; the old one on the shelf,
//! synced; the new one in its place, synced. A crash leaves each segment old or new, and the next repair does the rest.

use super::finding::What;
use super::given_up;
use super::inspect::{self, Inspection, Reading, Report, SegmentFound};
use super::pieces::{Piece, Pieces};
use super::runs::Runs;
use crate::journal::cursors::{self, Found};
use crate::journal::inflate::Inflater;
use crate::journal::segment;
use crate::journal::storage::{Appender, Folder, Storage};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;

/// A storage that can keep files as they were.
pub trait Shelves: Storage {
    /// Begins a shelf, durably.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if there is one of that name.
    fn begin(&self, shelf: &str) -> io::Result<()>;

    /// Keeps a file as it is now on a shelf, durably. It has its name until it is renamed, removed or replaced; after that only the shelf
    /// has it.
    ///
    /// # Errors
    /// It is not kept; it has not been changed either.
    fn keep(&self, name: &str, shelf: &str) -> io::Result<()>;
}

impl Shelves for Folder {
    fn begin(&self, shelf: &str) -> io::Result<()> {
        fs::create_dir(self.path().join(shelf))?;
        self.sync_names()
    }

    fn keep(&self, name: &str, shelf: &str) -> io::Result<()> {
        let (from, shelf) = (self.path().join(name), self.path().join(shelf));
        let to = shelf.join(name);
        // A second name for the same bytes; not every file system has such.
        if let Err(error) = fs::hard_link(&from, &to) {
            if error.kind() == ErrorKind::AlreadyExists {
                return Err(error);
            }
            fs::copy(&from, &to)?;
            File::open(&to)?.sync_all()?;
        }
        File::open(&shelf)?.sync_all()
    }
}

/// Why a journal was not repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error("there is no journal")]
    NoJournal,
    #[error(
        "{0} holds a frame of a version or kind that this Forebay does not know: repair it with the Forebay that wrote it"
    )]
    LaterVersion(String),
    #[error("{name}: {error}")]
    Io { name: String, error: io::Error },
    #[error("it is still damaged")]
    StillDamaged(Box<Report>),
}

/// What happens to a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: String,
    /// Bytes of the file before.
    pub bytes: u64,
    /// Its sound frames, and their bytes. With none the file is removed.
    pub frames: u64,
    pub frame_bytes: u64,
}

/// What a repair did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was found before it; no damage: nothing was done.
    pub before: Report,
    /// Segments that are written anew or removed, in order.
    pub changes: Vec<Change>,
    /// The cursors are removed.
    pub cursors: bool,
    /// Numbers of frames that are lost: gone before, or stored with a body that is none.
    pub lost: Runs,
    /// Where the files are that were changed or removed, if there are any.
    pub shelf: Option<String>,
}

impl Repaired {
    /// Sound frames in the journal afterwards.
    pub fn frames(&self) -> u64 {
        self.before.frames
    }
}

/// Repairs the journal in `storage`; `shelf` names a folder that is not there yet. With `dry_run` it only says what it would do. Without
/// damage it does nothing.
///
/// # Errors
/// What was changed so far is whole, and its originals are on the shelf; another repair goes on from there.
pub fn repair(storage: &impl Shelves, shelf: &str, dry_run: bool) -> Result<Repaired, RepairError> {
    let journal = inspection(storage)?;
    let before = read(&journal);
    if let Some(later) = before.findings.iter().find(|finding| finding.what.is_unknown()) {
        return Err(RepairError::LaterVersion(later.file.clone()));
    }
    if before.damages().next().is_none() {
        return Ok(Repaired { before, ..Repaired::default() });
    }
    let segments = to_change(&before);
    let cursors = journal.cursors_found == Found::Damaged;
    let on_shelf = cursors || !segments.is_empty();
    let mut repaired = Repaired {
        lost: before.missing(),
        changes: Vec::new(),
        cursors,
        shelf: on_shelf.then(|| shelf.to_owned()),
        before,
    };
    if !dry_run {
        write_down(storage, &repaired).map_err(of(given_up::NAME))?;
        if on_shelf {
            storage.begin(shelf).map_err(of(shelf))?;
        }
    }
    for segment in &segments {
        let name = segment::name_of(segment.base);
        let change = change(storage, segment, (!dry_run).then_some(shelf)).map_err(of(&name))?;
        repaired.changes.push(change);
    }
    if cursors && !dry_run {
        remove(storage, cursors::NAME, shelf).map_err(of(cursors::NAME))?;
    }
    if !dry_run {
        verify(storage, &repaired)?;
    }
    Ok(repaired)
}

fn of(name: &str) -> impl FnOnce(io::Error) -> RepairError {
    let name = name.to_owned();
    move |error| RepairError::Io { name, error }
}

fn inspection<S: Storage>(storage: &S) -> Result<Inspection<'_, S>, RepairError> {
    Inspection::of(storage).map_err(of("the folder"))?.ok_or(RepairError::NoJournal)
}

fn read(journal: &Inspection<'_, impl Storage>) -> Report {
    journal.read(Reading { bodies: true, in_use: false }, |_, _| ControlFlow::Continue(()))
}

/// The segments that cannot stay as they are.
fn to_change(report: &Report) -> Vec<SegmentFound> {
    let is_in_file = |what: &What| what.is_damage() && !matches!(what, What::Missing | What::Cursors { .. });
    let names: BTreeSet<&str> = report
        .findings
        .iter()
        .filter(|finding| is_in_file(&finding.what))
        .map(|finding| finding.file.as_str())
        .collect();
    let is_damaged = |segment: &SegmentFound| names.contains(segment::name_of(segment.base).as_str());
    let segments = report.segments.iter().enumerate().filter(|(at, segment)| {
        // What a writer gave up is overruled by the segment behind it: where that goes, this must go too.
        let later = &report.segments[at + 1..];
        let is_uncovered = later.iter().take_while(|segment| segment.frames == 0).any(is_damaged);
        is_damaged(segment) || (is_uncovered && segment.tail_bytes > 0)
    });
    segments.map(|(_, segment)| segment.clone()).collect()
}

/// Adds to the numbers that were given up. Those that will be used again are not: they are no loss then.
fn write_down(storage: &impl Storage, repaired: &Repaired) -> io::Result<()> {
    let before = given_up::load(storage);
    let mut all = before.clone();
    all.extend(repaired.lost.below(repaired.before.end).iter().cloned());
    if all == before { Ok(()) } else { given_up::save(storage, &all) }
}

/// Writes a segment's sound frames anew, if there is a shelf for the old one; else only counts.
fn change(storage: &impl Shelves, found: &SegmentFound, shelf: Option<&str>) -> io::Result<Change> {
    let name = segment::name_of(found.base);
    let mut change = Change { name: name.clone(), bytes: found.bytes, frames: 0, frame_bytes: 0 };
    if found.frames == 0 {
        if let Some(shelf) = shelf {
            remove(storage, &name, shelf)?;
        }
        return Ok(change);
    }
    let bytes = inspect::read(storage, &name, found.bytes)?;
    let new_name = format!("{name}.repaired");
    let mut file = shelf.map(|_| storage.create(&new_name)).transpose()?;
    let mut inflater = Inflater::default();
    let mut pieces = Pieces::of(found.base, &bytes, found.wanted.clone());
    while let Some(piece) = pieces.next() {
        let Piece::Frame { position, frame, counts: true, .. } = piece else { continue };
        if inflater.body(&frame).is_err() {
            continue;
        }
        if let Some(file) = &mut file {
            if change.frames == 0 {
                let created = found.created.unwrap_or(frame.head.label.arrived);
                let salt = pieces.salt().unwrap_or(frame.head.salt);
                file.append(&segment::head(found.base, created, salt))?;
            }
            let start = position.offset as usize;
            file.append(&bytes[start..start + frame.content_len()])?;
            file.append(frame.padding())?;
        }
        change.frames += 1;
        change.frame_bytes += u64::from(position.len);
    }
    if let (Some(mut file), Some(shelf)) = (file, shelf) {
        file.sync()?;
        storage.keep(&name, shelf)?;
        storage.rename(&new_name, &name)?;
        storage.sync_names()?;
    }
    Ok(change)
}

fn remove(storage: &impl Shelves, name: &str, shelf: &str) -> io::Result<()> {
    storage.keep(name, shelf)?;
    storage.remove(name)?;
    storage.sync_names()
}

/// Reads everything again: what is told to the operator is what is there.
fn verify(storage: &impl Storage, repaired: &Repaired) -> Result<(), RepairError> {
    let after = match inspection(storage) {
        // Nothing was sound.
        Err(RepairError::NoJournal) if repaired.frames() == 0 => return Ok(()),
        journal => read(&journal?),
    };
    let is_whole = after.frames == repaired.frames() && after.damages().next().is_none();
    if is_whole { Ok(()) } else { Err(RepairError::StillDamaged(Box::new(after))) }
}
