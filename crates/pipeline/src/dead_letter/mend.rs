//! What stands behind the last line break of a file of letters: a whole letter, or what a crash has left of one.

use super::StoredLetter;
use super::file::{private, resemble};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file is read backwards in such steps to find its last line break.
const STEP: u64 = 64 << 10;

/// Whether these bytes are a whole letter, with a line break behind it or without one.
pub(super) fn is_letter(line: &[u8]) -> bool {
    serde_json::from_slice::<StoredLetter>(line).is_ok()
}

/// Makes a file end with a whole line. A letter that lacks only its line break, as editors leave it, gets one. Anything else there was torn
/// by a crash, and nobody was told that it was kept; it is moved to a file beside this one all the same, because it may be a letter that
/// somebody was mending.
pub(super) fn mend(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).open(path)?;
    let len = file.metadata()?.len();
    let whole = whole_lines(&mut file, len)?;
    if whole == len {
        return Ok(());
    }
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(whole))?;
    file.read_to_end(&mut last)?;
    if is_letter(&last) {
        file.write_all(b"\n")?;
        file.sync_all()?;
        tracing::info!(path = %path.display(), "the last dead letter had no line break, and got one");
        return Ok(());
    }
    let torn = torn_path(path);
    keep(&torn, &last, &file)?;
    file.set_len(whole)?;
    file.sync_all()?;
    let bytes = last.len();
    tracing::warn!(path = %path.display(), moved_to = %torn.display(), bytes, "the last line is torn and no dead letter");
    Ok(())
}

/// Appends what was torn to its own file, durably, before it is cut off where it was.
fn keep(torn: &Path, bytes: &[u8], of: &File) -> io::Result<()> {
    let mut file = private().append(true).open(torn)?;
    resemble(&file, &of.metadata()?)?;
    file.write_all(bytes)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    File::open(torn.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Beside the file, and with an ending that is no file of letters.
fn torn_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    name.into()
}

/// The length up to and including the last line break.
fn whole_lines(file: &mut File, len: u64) -> io::Result<u64> {
    let mut end = len;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        block.resize((end - start) as usize, 0);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        if let Some(at) = memchr::memrchr(b'\n', &block) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
