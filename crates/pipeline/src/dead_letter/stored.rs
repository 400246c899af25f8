//! Letters as they lie in files, for those who read them, mend them and send them again.

use super::file::{letter_files, private, resemble};
use super::mend::is_letter;
use crate::body::{Body, OnRefused, Share};
use crate::budget::{Budget, Exhausted};
use crate::ids::{Ids, Mint};
use crate::ledger::Account;
use crate::receipt::Receipt;
use crate::route::{Matcher, Mode, Plan, RouteConfig};
use crate::time::EventWindow;
use crate::wire::json::{self, JsonOptions};
use crate::wire::{CheckContext, Index, Limits, Malformed, WireId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A letter as one line has it. Lines may be mended by hand; members that are not named here are kept where a letter stays.
#[derive(Debug, Deserialize, Serialize)]
pub struct StoredLetter {
    pub buried_at: String,
    pub arrived_at: String,
    pub receiver: String,
    pub route: String,
    pub sink: String,
    pub destination: String,
    pub id: Option<String>,
    pub reason: String,
    pub document: Box<RawValue>,
}

/// One file of letters.
#[derive(Clone, Debug)]
pub struct LetterFile(PathBuf);

/// One line of a file: its number from 0, and the letter or why it is none.
pub type Line = (usize, Result<StoredLetter, serde_json::Error>);

impl LetterFile {
    /// The files of a directory, oldest first.
    pub fn all(dir: &Path) -> io::Result<Vec<Self>> {
        let mut files = letter_files(dir)?;
        files.sort();
        Ok(files.into_iter().map(Self).collect())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The letters, line by line. A last line without a line break counts if it is a whole letter, as an editor may have left it; if it is not,
    /// it is still being written, or was never answered for, and is left out.
    pub fn letters(&self) -> io::Result<impl Iterator<Item = io::Result<Line>>> {
        let mut reader = BufReader::new(File::open(&self.0)?);
        let mut text = Vec::new();
        let mut number = 0;
        Ok(std::iter::from_fn(move || {
            text.clear();
            match reader.read_until(b'\n', &mut text) {
                Ok(_) if text.last() != Some(&b'\n') && !is_letter(&text) => None,
                Ok(_) => {
                    number += 1;
                    Some(Ok((number - 1, serde_json::from_slice(&text))))
                }
                Err(error) => Some(Err(error)),
            }
        }))
    }

    /// Takes these lines out of the file, durably; a file without letters is removed. The rest stays byte for byte, under the same mode and, as
    /// far as that is allowed, the same owner. Only for a directory that no running process writes to.
    pub fn remove(&self, lines: &BTreeSet<usize>) -> io::Result<()> {
        let rest = self.0.with_extension("jsonl.rest");
        let whole = File::open(&self.0)?;
        let without = private().write(true).truncate(true).open(&rest)?;
        resemble(&without, &whole.metadata()?)?;
        let mut reader = BufReader::new(whole);
        let mut writer = BufWriter::new(without);
        let mut text = Vec::new();
        let mut kept = 0;
        for number in 0.. {
            text.clear();
            if reader.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            if !lines.contains(&number) {
                writer.write_all(&text)?;
                kept += 1;
            }
        }
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&rest, &self.0)?;
        if kept == 0 {
            fs::remove_file(&self.0)?;
        }
        File::open(self.0.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Makes shares of letters, to be delivered as if they had just arrived.
#[derive(Debug)]
pub struct Replay {
    plan: Plan,
    mint: Mint,
    budget: Arc<Budget>,
}

/// Why a letter cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Unsendable {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the document is no JSON object")]
    NoObject,
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

impl Replay {
    /// Bodies of letters are charged to `budget`.
    ///
    /// # Errors
    /// None that is known: what is built here is the same every time.
    pub fn new(budget: Arc<Budget>) -> Result<Self, String> {
        // A check wants to route. Letters have their destinations, so this one route is never asked for its.
        let every = RouteConfig {
            name: "replay".to_owned(),
            signals: vec![crate::Signal::Logs],
            when: None,
            to: vec!["letters".to_owned()],
            index: "letters".to_owned(),
            best_effort: Vec::new(),
            on_refused: OnRefused::Reject,
        };
        let plan = Plan::build(&[every], Mode::FirstMatch, &[], &["letters"])
            .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<String>())?;
        Ok(Self { plan, mint: Mint::default(), budget })
    }

    /// What `account` owes of this letter, and where its fate will be told. The document goes as it stands. It has the id that it had, so what is there already is a
    /// duplicate; a refusal is told and not buried again.
    pub fn share(
        &self,
        letter: &StoredLetter,
        account: &Arc<Account>,
    ) -> Result<(Share, Receipt), Unsendable> {
        let document = letter.document.get().len();
        let mut bytes = letter.document.get().as_bytes().to_vec();
        // The id stands behind the document, as the inside of a JSON string, so that it can be a range of the body.
        let id = serde_json::to_string(letter.id.as_deref().unwrap_or_default()).unwrap_or_default();
        let id = &id[1..id.len().max(2) - 1];
        bytes.extend_from_slice(id.as_bytes());
        let lease = self.budget.lease(bytes.len())?;
        let arrived = crate::time::now();
        let index = self.check(&bytes[..document], arrived)?;
        let (epoch, frame) = self.mint.next();
        let ids = Ids::Client { ranges: vec![(document as u32, id.len() as u32)], epoch, frame };
        let body = Arc::new(Body {
            bytes: bytes.into(),
            wire: WireId::Json,
            index,
            ids,
            arrived,
            receiver: letter.receiver.as_str().into(),
            lease,
        });
        let receipt = Receipt::open();
        let share = Share {
            body,
            ranges: std::iter::once(0..1).collect(),
            claim: receipt.claim(account, 1),
            destination: letter.destination.as_str().into(),
            on_refused: OnRefused::Reject,
        };
        Ok((share, receipt))
    }

    fn check(&self, document: &[u8], arrived: i64) -> Result<Index, Unsendable> {
        let limits = Limits { max_records: 1, max_record_bytes: usize::MAX };
        // The destination is the letter's, whatever its time.
        let window = EventWindow::new(Duration::MAX, Duration::MAX);
        let context = CheckContext { limits: &limits, arrived, window: &window };
        let options = JsonOptions { as_it_stands: true, ..JsonOptions::default() };
        let mut index = Index::default();
        json::check(document, &context, &options, &mut Matcher::new(&self.plan), &mut index)?;
        match (index.rejected.reasons.pop(), index.records.len()) {
            (Some((_, why)), _) => Err(why.into()),
            (None, 1) => Ok(index),
            (None, _) => Err(Unsendable::NoObject),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::Ledger;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

    fn line(message: &str) -> String {
        format!(
            r#"{{"buried_at":"b","arrived_at":"a","receiver":"json","route":"all","sink":"es","destination":"i","id":"x\"y","reason":"r","document":{{"message":"{message}"}}}}"#
        )
    }

    fn file(dir: &Path, text: &str) -> LetterFile {
        fs::write(dir.join("dead-letters-20261121T000000Z-0.jsonl"), text).unwrap();
        LetterFile::all(dir).unwrap().remove(0)
    }

    #[test]
    fn whole_lines_are_letters_or_say_why_not_and_a_torn_one_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let whole = line("whole");
        let good = format!("{}\nno letter\n", line("one"));
        for (last, count) in [(&whole[..whole.len() - 1], 2), (&whole[..], 3)] {
            let file = file(dir.path(), &format!("{good}{last}"));
            let lines: Vec<Line> = file.letters().unwrap().map(Result::unwrap).collect();
            assert_eq!(lines.len(), count);
            assert_eq!(lines[0].1.as_ref().unwrap().document.get(), r#"{"message":"one"}"#);
            assert!(lines[1].1.is_err());
            assert!(lines[2..].iter().all(|(number, letter)| *number == 2 && letter.is_ok()));
            // Taking the first line out leaves the last one as it is.
            file.remove(&[0].into()).unwrap();
            assert_eq!(fs::read_to_string(file.path()).unwrap(), format!("no letter\n{last}"));
        }
    }

    #[test]
    fn lines_are_taken_out_and_the_rest_stays_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let lines: Vec<String> = ["one", "two", "three"].map(|message| line(message) + " \n").into();
        let file = file(dir.path(), &lines.concat());
        for mode in [0o640, 0o600, 0o666] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            file.remove(&[9].into()).unwrap();
            assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, mode);
        }
        file.remove(&[1].into()).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), [&*lines[0], &*lines[2]].concat());
        file.remove(&[0, 1].into()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    #[allow(clippy::print_stderr)]
    fn a_file_that_is_written_anew_stays_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path(), &format!("{}\n{}\n", line("one"), line("two")));
        if chown(file.path(), Some(65_534), Some(65_534)).is_err() {
            eprintln!("SKIPPED: only root can give a file to somebody else");
            return;
        }
        file.remove(&[0].into()).unwrap();
        let metadata = fs::metadata(file.path()).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (65_534, 65_534));
    }

    #[test]
    fn a_document_is_stored_as_it_stands_in_its_letter() {
        let account = Ledger::default().account("es", "all");
        let replay = Replay::new(Budget::new(1 << 20)).unwrap();
        for document in [
            r#"{"@timestamp":"2026-11-21T08:26:04.580000000Z","message":"m","levelname":"ERROR","levelno":40}"#,
            r#"{"@timestamp":"2400-01-01T00:00:00.000000000Z","message":"m"}"#,
        ] {
            let raw = RawValue::from_string(document.to_owned()).unwrap();
            let letter = StoredLetter { document: raw, ..serde_json::from_str(&line("")).unwrap() };
            let (share, _receipt) = replay.share(&letter, &account).unwrap();
            let written = crate::document::DocumentWriter::new(&[]).document(&share.body, 0);
            assert_eq!(String::from_utf8(written).unwrap(), document);
        }
    }

    #[test]
    fn a_share_is_the_document_under_the_id_that_it_had() {
        let account = Ledger::default().account("es", "all");
        let replay = Replay::new(Budget::new(1 << 20)).unwrap();
        let letter: StoredLetter = serde_json::from_str(&line("one")).unwrap();
        let (share, _receipt) = replay.share(&letter, &account).unwrap();
        let mut id = Vec::new();
        assert!(share.body.ids.write(0, share.body.entry(0), &share.body.bytes, &mut id));
        assert_eq!((&*share.destination, id), ("i", br#"x\"y"#.to_vec()));
        assert_eq!(share.body.record(0), br#"{"message":"one"}"#);
        for document in ["[1]", "[{},{}]", "7", r#"{"a":1,"a":2}"#] {
            let document = RawValue::from_string(document.to_owned()).unwrap();
            let letter = StoredLetter { document, ..serde_json::from_str(&line("")).unwrap() };
            assert!(replay.share(&letter, &account).is_err());
        }
    }
}
