//! The folder that keeps what was fetched and built, so that only the first run on a machine is slow.

use anyhow::{Context, Result};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Names the cache folder; it must be traversable by other users when the tests run as root.
const FOLDER_VARIABLE: &str = "FOREBAY_CACHE";

/// Written last into a finished installation; holds the stamp that it was made from.
const STAMP_FILE: &str = ".complete";

/// The cache folder, created if need be: `FOREBAY_CACHE`, else `/var/cache/forebay` where that can be written, else
/// `~/.cache/forebay`. (`/root` cannot be traversed by the user that Elasticsearch runs as.)
pub fn folder() -> Result<PathBuf> {
    if let Some(chosen) = std::env::var_os(FOLDER_VARIABLE) {
        let chosen = PathBuf::from(chosen);
        fs::create_dir_all(&chosen).with_context(|| format!("cannot create {}", chosen.display()))?;
        return Ok(chosen.canonicalize()?);
    }
    let shared = PathBuf::from("/var/cache/forebay");
    if fs::create_dir_all(&shared).is_ok() && tempfile::tempfile_in(&shared).is_ok() {
        fs::set_permissions(&shared, Permissions::from_mode(0o755))?;
        return Ok(shared);
    }
    let home = std::env::var_os("HOME").context("neither FOREBAY_CACHE nor HOME is set")?;
    let own = Path::new(&home).join(".cache/forebay");
    fs::create_dir_all(&own).with_context(|| format!("cannot create {}", own.display()))?;
    Ok(own)
}

/// The folder `name` of the cache, if an [`install`] from the same `stamp` finished it.
pub fn find(name: &str, stamp: &str) -> Option<PathBuf> {
    let place = folder().ok()?.join(name);
    is_complete(&place, stamp).then_some(place)
}

fn is_complete(place: &Path, stamp: &str) -> bool {
    fs::read_to_string(place.join(STAMP_FILE)).is_ok_and(|found| found == stamp)
}

/// Returns the folder `name` of the cache, built by `build` unless an earlier run finished it from the same `stamp`.
///
/// `stamp` holds everything that decides what is built (versions, sources), so a change of it builds anew. Test
/// processes that ask at the same time wait for the first one; a build that was cut short is thrown away. The folder
/// is built in its final place because a virtual environment cannot be moved.
pub fn install(name: &str, stamp: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = folder()?;
    let lock = File::create(cache.join(format!(".{name}.lock")))?;
    lock.lock()?;
    let place = cache.join(name);
    if is_complete(&place, stamp) {
        return Ok(place);
    }
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir(&place)?;
    build(&place).with_context(|| format!("cannot install {name} into {}", place.display()))?;
    fs::write(place.join(STAMP_FILE), stamp)?;
    Ok(place)
}
