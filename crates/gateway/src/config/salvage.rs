//! What is left of a faulty configuration when its faulty settings are taken out, so that the checks which need a whole can
//! still add what they find.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Loaded;
use super::document::Node;
use super::fault::Fault;
use super::locate::Locator;

/// Settings that a type's own `Deserialize` may refuse before the rest is given up.
const MAX_REFUSALS: usize = 100;

/// What takes the place of a setting that is taken out; `None` leaves its default there.
pub type StandIn = fn(path: &str) -> Option<Value>;

/// Builds the value without the settings in `faults`, and adds a fault for each further one that its type refuses.
/// Gives `None` if what is left makes no whole.
pub fn salvage<T: DeserializeOwned>(
    root: Node,
    faults: &mut Vec<Fault>,
    stand_in: StandIn,
) -> Option<Loaded<T>> {
    let mut json = root.to_json();
    for fault in faults.iter() {
        take_out(&mut json, &fault.path, stand_in);
    }
    let locator = Locator::new(root);
    for _ in 0..MAX_REFUSALS {
        let error = match serde_path_to_error::deserialize(json.clone()) {
            Ok(value) => return Some(Loaded { value, locator }),
            Err(error) => error,
        };
        let path = error.path().to_string();
        let known = if path == "." { "" } else { path.as_str() };
        if !follows(known, faults) {
            faults.push(locator.foreign_fault(known, &error.inner().to_string()));
        }
        if !take_out(&mut json, known, stand_in) {
            return None;
        }
    }
    None
}

/// Whether a fault at `path` only follows from these: one of them is in that setting or around it.
pub fn follows(path: &str, faults: &[Fault]) -> bool {
    faults.iter().any(|fault| is_within(&fault.path, path) || is_within(path, &fault.path))
}

/// Whether `path` names the setting `outer` or one within it.
fn is_within(path: &str, outer: &str) -> bool {
    let within = |rest: &str| outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']);
    path.strip_prefix(outer).is_some_and(within)
}

/// Takes out the setting at `path`. An item takes its whole list with it, since the others would change their numbers.
/// Says whether there was something to take.
fn take_out(json: &mut Value, path: &str, stand_in: StandIn) -> bool {
    let Some((members, key)) = setting(json, path) else { return false };
    match stand_in(path) {
        Some(other) if members.get(&key) != Some(&other) => members.insert(key, other).is_some(),
        _ => members.remove(&key).is_some(),
    }
}

/// The innermost named setting on the way to `path`, by the mapping that holds it.
fn setting<'j>(json: &'j mut Value, path: &str) -> Option<(&'j mut Map<String, Value>, String)> {
    match json {
        Value::Array(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            setting(items.get_mut(index.parse::<usize>().ok()?)?, rest.strip_prefix('.')?)
        }
        Value::Object(members) => {
            let on_the_way = members.keys().filter(|key| is_within(path, key.as_str()));
            let key = on_the_way.max_by_key(|key| key.len())?.clone();
            let rest = &path[key.len()..];
            let ends_here = rest.is_empty() || (rest.starts_with('[') && rest.ends_with(']'));
            if ends_here {
                return Some((members, key));
            }
            setting(members.get_mut(&key)?, rest.strip_prefix('.').unwrap_or(rest))
        }
        _ => None,
    }
}
