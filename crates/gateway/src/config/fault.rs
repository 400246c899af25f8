//! A mistake in a configuration file, and the nearest valid name.

use std::fmt;

/// A place in the file; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong, and where.
///
/// Prints as `12:5: sinks.es.endpont: unknown setting; did you mean `endpoint`?`, so that `{file}:{fault}` is
/// the form which editors and terminals turn into a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting, as `routes[2].to`; empty for the file as a whole.
    pub path: String,
    pub line: usize,
    pub column: usize,
    /// What is wrong. Values that came from a substitution are never part of it.
    pub message: String,
    /// How it might be put right.
    pub hint: Option<String>,
}

impl Fault {
    pub fn new(path: &str, at: Position, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: at.line, column: at.column, message: message.into(), hint: None }
    }

    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// The order in which a reader meets them.
pub fn sort(faults: &mut [Fault]) {
    faults.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
}

/// The candidate that a typing error most likely turned into `name`, if any is close enough to be worth offering.
///
/// Close means at most one edit (insertion, deletion, substitution or swap of neighbours) for every three
/// characters, at least one; or one name being the beginning of the other. Case does not count as an edit.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let offered = candidate.to_lowercase();
        let edits = strsim::damerau_levenshtein(&wanted, &offered);
        let abbreviated = wanted.len().min(offered.len()) >= MIN_PREFIX
            && (offered.starts_with(&wanted) || wanted.starts_with(&offered));
        let close = abbreviated || (edits <= allowed && edits < offered.chars().count());
        if close && best.is_none_or(|(fewest, _)| edits < fewest) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Shorter beginnings than this fit too many names to mean one of them.
const MIN_PREFIX: usize = 3;

/// The hint for a misspelt name.
pub fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_offers_only_what_is_close() {
        let names = ["endpoint", "timeout", "compression", "id"];
        let near = |name| nearest(name, names.into_iter());
        assert_eq!(near("endpont"), Some("endpoint"));
        assert_eq!(near("tiemout"), Some("timeout"));
        assert_eq!(near("Compression"), Some("compression"));
        assert_eq!(near("endpoints"), Some("endpoint"));
        assert_eq!(near("compress"), Some("compression"));
        assert_eq!(near("ix"), Some("id"));
        assert_eq!(near("xy"), None);
        assert_eq!(near("password"), None);
        assert_eq!(near(""), None);
        assert_eq!(nearest("es", std::iter::empty()), None);
    }

    #[test]
    fn a_fault_prints_as_a_link_with_its_hint() {
        let at = Position { line: 12, column: 5 };
        let fault =
            Fault::new("sinks.es.endpont", at, "unknown setting").with_hint(Some(did_you_mean("endpoint")));
        assert_eq!(
            format!("f.yaml:{fault}"),
            "f.yaml:12:5: sinks.es.endpont: unknown setting; did you mean `endpoint`?"
        );
        assert_eq!(Fault::new("", Position::START, "not YAML").to_string(), "1:1: not YAML");
    }
}
