//! Where the configuration comes from, and whether it has changed.

use crate::config::{self, Loaded, ProcessEnvironment};
use crate::graph::Blueprint;
use crate::settings;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The configuration file; without one, the default configuration.
#[derive(Clone, Debug)]
pub struct Source(Option<PathBuf>);

impl Source {
    /// A file, or the default.
    pub fn new(file: Option<&Path>) -> Self {
        Self(file.map(Path::to_owned))
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// What is wrong with it, one line for each fault.
    pub fn draw(&self) -> Result<Blueprint, Vec<String>> {
        let name = self.name();
        let text = match self.0.as_deref().map(fs::read_to_string).transpose() {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => return Err(vec![format!("forebay: cannot read {name}: {error}")]),
        };
        let drawn =
            config::load(&text, &ProcessEnvironment, settings::stand_in, |Loaded { value, locator }| {
                Blueprint::draw(value, &locator)
            });
        drawn.map_err(|faults| faults.iter().map(|fault| format!("{name}:{fault}")).collect())
    }

    /// What a person calls it.
    pub fn name(&self) -> String {
        self.0
            .as_ref()
            .map_or_else(|| "the default configuration".to_owned(), |file| file.display().to_string())
    }

    /// A mark that differs when the file's text does; none if there is no file, or it cannot be read now.
    fn mark(&self) -> Option<u64> {
        let text = fs::read(self.0.as_ref()?).ok()?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Some(hasher.finish())
    }
}

/// Notices when the file has changed and come to rest.
#[derive(Debug)]
pub struct Watch {
    source: Source,
    /// The text that was last taken on, or refused.
    known: Option<u64>,
    /// A change that was seen once.
    seen: Option<u64>,
}

impl Watch {
    /// From the file as it is now.
    pub fn new(source: &Source) -> Self {
        Self { source: source.clone(), known: source.mark(), seen: None }
    }

    /// Whether the file is another than before, and the same as at the last look: an editor may be in the middle of it.
    pub fn has_changed(&mut self) -> bool {
        let now = self.source.mark();
        let is_new = now.is_some() && now != self.known;
        let is_at_rest = is_new && now == self.seen;
        self.seen = if is_new { now } else { None };
        if is_at_rest {
            self.known = now;
        }
        is_at_rest
    }

    /// The file was read for another reason.
    pub fn renew(&mut self) {
        self.known = self.source.mark();
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
        let mut watch = Watch::new(&Source::new(Some(&file)));
        assert!(!watch.has_changed());
        fs::write(&file, "ab").unwrap();
        assert!(!watch.has_changed());
        fs::write(&file, "abc").unwrap();
        assert!(!watch.has_changed());
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        fs::remove_file(&file).unwrap();
        assert!(!watch.has_changed());
        fs::write(&file, "abc").unwrap();
        assert!(!watch.has_changed() && !watch.has_changed());
    }
}
