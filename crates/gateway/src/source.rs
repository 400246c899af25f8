//! Where the configuration comes from, and whether it has changed.

use crate::config::{self, Loaded, ProcessEnvironment};
use crate::graph::Blueprint;
use crate::settings;
use std::cell::Cell;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// The configuration file; without one, the default configuration.
#[derive(Debug)]
pub struct Source {
    file: Option<PathBuf>,
    /// The mark of the text that was drawn last, whether it was taken on or refused.
    drawn: Cell<Option<u64>>,
}

impl Source {
    /// A file, or the default.
    pub fn new(file: Option<&Path>) -> Self {
        Self { file: file.map(Path::to_owned), drawn: Cell::default() }
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// What is wrong with it, one line for each fault.
    pub fn draw(&self) -> Result<Blueprint, Vec<String>> {
        let name = self.name();
        let text = self.read().map_err(|error| vec![format!("forebay: cannot read {name}: {error}")])?;
        let drawn =
            config::load(&text, &ProcessEnvironment, settings::stand_in, |Loaded { value, locator }| {
                Blueprint::draw(value, &locator)
            });
        drawn.map_err(|faults| faults.iter().map(|fault| format!("{name}:{fault}")).collect())
    }

    fn read(&self) -> io::Result<String> {
        let Some(file) = &self.file else { return Ok(String::new()) };
        let text = fs::read(file)?;
        self.drawn.set(Some(mark(&text)));
        let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8");
        String::from_utf8(text).map_err(invalid)
    }

    /// What a person calls it.
    pub fn name(&self) -> String {
        self.file
            .as_ref()
            .map_or_else(|| "the default configuration".to_owned(), |file| file.display().to_string())
    }

    /// The mark of the file as it is now; none if there is no file, or it cannot be read.
    fn mark(&self) -> Option<u64> {
        Some(mark(&fs::read(self.file.as_ref()?).ok()?))
    }
}

/// A mark that differs when the text does.
fn mark(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Notices when the file is another than the one that was drawn last, and has come to rest.
#[derive(Debug)]
pub struct Watch<'s> {
    source: &'s Source,
    /// A change that was seen once.
    seen: Option<u64>,
}

impl<'s> Watch<'s> {
    /// Knows what was drawn, however long ago: also a change that came while the gateway started is one.
    pub fn new(source: &'s Source) -> Self {
        Self { source, seen: None }
    }

    /// Whether the file is another than what was drawn, and the same as at the last look: an editor may be in the middle of it. Stays so
    /// until it is drawn.
    pub fn has_changed(&mut self) -> bool {
        let now = self.source.mark().filter(|now| Some(*now) != self.source.drawn.get());
        let is_at_rest = now.is_some() && now == self.seen;
        self.seen = now;
        is_at_rest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_change_is_noticed_once_and_only_when_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("forebay.yaml");
        fs::write(&file, "a").unwrap();
        let source = Source::new(Some(&file));
        source.draw().unwrap_err();
        let mut watch = Watch::new(&source);
        assert!(!watch.has_changed());
        fs::write(&file, "ab").unwrap();
        assert!(!watch.has_changed());
        fs::write(&file, "abc").unwrap();
        assert!(!watch.has_changed());
        assert!(watch.has_changed());
        source.draw().unwrap_err();
        assert!(!watch.has_changed());
        fs::remove_file(&file).unwrap();
        assert!(!watch.has_changed());
        fs::write(&file, "abc").unwrap();
        assert!(!watch.has_changed() && !watch.has_changed());
    }

    #[test]
    fn a_change_since_the_file_was_drawn_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("forebay.yaml");
        fs::write(&file, "{}").unwrap();
        let source = Source::new(Some(&file));
        source.draw().unwrap();
        fs::write(&file, "log: {level: warn}").unwrap();
        let mut watch = Watch::new(&source);
        assert!(!watch.has_changed());
        assert!(watch.has_changed());
    }
}
