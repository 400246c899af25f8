//! `forebay dlq list` and `show`.

use super::{Found, escaped};
use crate::terminal::say;
use anyhow::Result;
use forebay_pipeline::dead_letter::StoredLetter;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Kinds of letters that are told apart at most: more would be no overview.
const MOST_KINDS: usize = 1_000;
const OTHER: &str = "(other)";
/// Characters of a reason that make its kind, where there is no colon.
const MOST_KIND_CHARS: usize = 48;

/// Sink, destination, kind of reason.
type Kind = (String, String, String);

#[derive(Debug)]
struct Group {
    letters: u64,
    oldest: String,
    newest: String,
}

pub(super) fn list(found: &Found, json: bool) -> Result<ExitCode> {
    let mut groups: BTreeMap<Kind, Group> = BTreeMap::new();
    let mut letters = 0;
    found.each(|letter| {
        letters += 1;
        let mut kind = (letter.sink.clone(), letter.destination.clone(), kind_of(&letter).to_owned());
        if groups.len() >= MOST_KINDS && !groups.contains_key(&kind) {
            kind = (OTHER.to_owned(), OTHER.to_owned(), OTHER.to_owned());
        }
        let buried = letter.buried_at;
        let group = groups.entry(kind).or_insert_with(|| Group {
            letters: 0,
            oldest: buried.clone(),
            newest: buried.clone(),
        });
        group.letters += 1;
        // RFC 3339 in one zone and of one length sorts as time does.
        group.oldest = std::mem::take(&mut group.oldest).min(buried.clone());
        group.newest = std::mem::take(&mut group.newest).max(buried);
        true
    })?;
    if !json {
        say(&format!(
            "{:>9}  {:<12} {:<36} {:<32} {:<20}",
            "letters", "sink", "destination", "reason", "newest"
        ));
    }
    for ((sink, destination, reason), group) in &groups {
        let Group { letters, oldest, newest } = group;
        say(&if json {
            json!({"letters": letters, "sink": sink, "destination": destination, "reason": reason,
                "oldest": oldest, "newest": newest})
            .to_string()
        } else {
            let [sink, destination, reason, newest] =
                [sink, destination, reason, newest].map(|text| escaped(text));
            format!("{letters:>9}  {sink:<12} {destination:<36} {reason:<32} {newest:.19}Z")
        });
    }
    if !json {
        say(&format!("{letters:>9}  in {}", found.dir.display()));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(found: &Found, limit: usize) -> Result<ExitCode> {
    let mut left = limit;
    if left > 0 {
        found.each(|letter| {
            say(&serde_json::to_string(&letter).unwrap_or_default());
            left -= 1;
            left > 0
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a reason begins with behind its status: the type of the error. The particulars come behind a colon.
fn kind_of(letter: &StoredLetter) -> &str {
    let named = letter
        .reason
        .trim_start_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, ':' | ' '));
    let kind = named.split(':').next().unwrap_or_default();
    match kind.char_indices().nth(MOST_KIND_CHARS) {
        Some((end, _)) => &kind[..end],
        None if kind.is_empty() => "(none)",
        None => kind,
    }
}
