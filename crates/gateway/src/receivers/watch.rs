//! Files of certificates and secrets that are replaced under a running process.

use super::tls::files::read;
use parking_lot::Mutex;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Notices when files have changed and come to rest. What counts is what is in them, so that it does not matter how they are
/// replaced: in place, by renaming, or by turning a symbolic link as Kubernetes does.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    marks: Mutex<Marks>,
}

/// What became of changes.
#[derive(Debug, Default)]
pub struct Changes {
    done: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Marks {
    /// What was last taken on, or refused.
    known: u64,
    /// A change that was seen once.
    seen: Option<u64>,
}

/// When a change is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// When it was found the same twice: somebody may be in the middle of it.
    AtRest,
    /// At once: somebody says that it is done.
    AtOnce,
}

impl Watch {
    /// From the files as they are now. To be made before they are read, so that no change falls in between.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let marks = Mutex::new(Marks { known: mark(&files), seen: None });
        Self { files, marks }
    }

    /// Whether the files are others than before.
    pub fn has_changed(&self, look: Look) -> bool {
        let now = mark(&self.files);
        let mut marks = self.marks.lock();
        let is_new = now != marks.known;
        let is_at_rest = is_new && (look == Look::AtOnce || marks.seen == Some(now));
        marks.seen = is_new.then_some(now);
        if is_at_rest {
            marks.known = now;
        }
        is_at_rest
    }
}

impl Changes {
    /// Counts one.
    pub fn count(&self, is_done: bool) {
        let count = if is_done { &self.done } else { &self.refused };
        count.fetch_add(1, Relaxed);
    }

    /// How many were taken on, and how many refused.
    pub fn counts(&self) -> (u64, u64) {
        (self.done.load(Relaxed), self.refused.load(Relaxed))
    }
}

/// A mark that differs when what is in the files does, or when one of them cannot be read.
fn mark(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        read(file).map_err(|error| error.kind()).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_is_noticed_once_when_it_has_come_to_rest_or_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tls.crt");
        fs::write(&file, "a").unwrap();
        let watch = Watch::new(vec![file.clone()]);
        assert!(!watch.has_changed(Look::AtRest) && !watch.has_changed(Look::AtOnce));
        fs::write(&file, "b").unwrap();
        assert!(!watch.has_changed(Look::AtRest));
        fs::write(&file, "c").unwrap();
        assert!(!watch.has_changed(Look::AtRest));
        assert!(watch.has_changed(Look::AtRest));
        assert!(!watch.has_changed(Look::AtRest));
        fs::remove_file(&file).unwrap();
        assert!(watch.has_changed(Look::AtOnce), "that it is gone is a change as well");
    }

    /// A Secret's folder: each file is a link into `..data`, which is a link to the folder of this version.
    #[test]
    fn a_link_that_is_turned_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("tls.crt"), text).unwrap();
        }
        symlink("..1", path("..data")).unwrap();
        symlink("..data/tls.crt", path("tls.crt")).unwrap();
        let watch = Watch::new(vec![path("tls.crt")]);
        symlink("..2", path("..tmp")).unwrap();
        fs::rename(path("..tmp"), path("..data")).unwrap();
        assert!(!watch.has_changed(Look::AtRest));
        assert!(watch.has_changed(Look::AtRest));
    }
}
