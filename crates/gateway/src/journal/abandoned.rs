//! Names in `journal.abandon` that mean nothing.

use crate::config::nearest;
use forebay_pipeline::journal::JournalConfig;
use forebay_pipeline::journal::cursors::Found;
use forebay_pipeline::journal::offline::inspect::Inspection;
use forebay_pipeline::journal::offline::look::ReadOnly;

/// What to say of the names in `abandon` that the journal knows no sink of, `sinks` being configured. Nothing where that cannot be known:
/// there is no journal yet, or it has no sound cursors. Reads a small file.
pub fn unknown_abandoned(config: &JournalConfig, sinks: &[String]) -> Vec<String> {
    if config.abandon.is_empty() {
        return Vec::new();
    }
    let Ok(folder) = ReadOnly::look(&config.path) else { return Vec::new() };
    let Ok(Some(journal)) = Inspection::of(&folder) else { return Vec::new() };
    if journal.cursors_found != Found::Sound {
        return Vec::new();
    }
    let known = &journal.cursors.0;
    let unknown = config.abandon.iter().filter(|name| !known.contains_key(*name));
    let say = |name: &String| {
        let orphans = known.keys().filter(|known| !sinks.contains(known)).map(String::as_str);
        let hint = nearest(name, orphans).map_or_else(
            || "nothing is held for it, and its name can go".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        format!("journal.abandon: the journal in {} knows no sink `{name}`: {hint}", config.path.display())
    };
    unknown.map(say).collect()
}
