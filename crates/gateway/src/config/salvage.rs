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

/// What takes the place of a setting that is taken out or missing; `None` leaves its default there.
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

/// Takes out the setting at `path`, which may be one that is missing, and puts in what stands for it. An item for which nothing stands takes
/// its whole list with it, since the others would change their numbers. Says whether that changed anything.
fn take_out(json: &mut Value, path: &str, stand_in: StandIn) -> bool {
    match (place(json, path), stand_in(path)) {
        (Some(Place::Member(members, key)), Some(other)) if members.get(&key) != Some(&other) => {
            members.insert(key, other);
            return true;
        }
        (Some(Place::Item(item)), Some(other)) if *item != other => {
            *item = other;
            return true;
        }
        (Some(Place::Member(members, key)), _) => return members.remove(&key).is_some(),
        (Some(Place::Item(_)), _) => {}
        (None, _) => return false,
    }
    path.rsplit_once('[').is_some_and(|(list, _)| take_out(json, list, stand_in))
}

/// Where a setting is, or would be.
enum Place<'j> {
    Member(&'j mut Map<String, Value>, String),
    Item(&'j mut Value),
}

fn place<'j>(json: &'j mut Value, path: &str) -> Option<Place<'j>> {
    match json {
        Value::Array(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            let item = items.get_mut(index.parse::<usize>().ok()?)?;
            if rest.is_empty() { Some(Place::Item(item)) } else { place(item, rest.strip_prefix('.')?) }
        }
        Value::Object(members) => {
            let on_the_way = members.keys().filter(|key| is_within(path, key.as_str()));
            let Some(key) = on_the_way.max_by_key(|key| key.len()).cloned() else {
                return (!path.contains(['.', '['])).then(|| Place::Member(members, path.to_owned()));
            };
            let rest = &path[key.len()..];
            if rest.is_empty() {
                return Some(Place::Member(members, key));
            }
            place(members.get_mut(&key)?, rest.strip_prefix('.').unwrap_or(rest))
        }
        _ => None,
    }
}
