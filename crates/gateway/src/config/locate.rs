//! Where a setting stands in the file, for checks that come after deserialization.

use super::document::{Entry, Node, Value};
use super::fault::{Fault, Position, did_you_mean};
use super::scalar::Scalar;

/// Finds the place of a setting by its path, and keeps substituted values out of messages.
pub struct Locator {
    root: Node,
}

impl std::fmt::Debug for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The tree holds secrets.
        f.write_str("Locator")
    }
}

impl Locator {
    pub fn new(root: Node) -> Self {
        Self { root }
    }

    /// A fault at `path`, written as `routes[2].to`; names that contain dots are found as they are.
    ///
    /// Where the file does not have the setting (a default is at fault), it points at the nearest enclosing one.
    /// A value that came from `${...}` and is quoted in backticks in the message is replaced.
    pub fn fault(&self, path: &str, message: impl Into<String>, nearest: Option<&str>) -> Fault {
        let (node, at) = self.find(path);
        let mut shown: String = message.into();
        if let (true, Value::Scalar(scalar)) = (node.foreign, &node.value) {
            let text = match scalar {
                Scalar::Text(text) => text.clone(),
                other => other.to_json().to_string(),
            };
            shown = shown.replace(&format!("`{text}`"), "`${...}`");
        }
        Fault::new(path, at, shown).with_hint(nearest.map(did_you_mean))
    }

    /// As [`Locator::fault`], for the message of a library, which may quote any value below `path`.
    pub fn foreign_fault(&self, path: &str, message: &str) -> Fault {
        let (node, at) = self.find(path);
        if node.holds_foreign() {
            return Fault::new(
                path,
                at,
                "a value here is not accepted; one that came from `${...}` is not shown",
            );
        }
        Fault::new(path, at, message)
    }

    fn find(&self, path: &str) -> (&Node, Position) {
        let mut node = &self.root;
        let mut at = node.at;
        let mut rest = path;
        while !rest.is_empty() {
            let Some((next, place, remaining)) = step(node, rest) else { break };
            (node, at, rest) = (next, place, remaining);
        }
        (node, at)
    }
}

/// The child which `path` names first, its place, and what is left of the path.
fn step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<(&'n Node, Position, &'p str)> {
    match &node.value {
        Value::Scalar(_) => None,
        Value::Sequence(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            let item = items.get(index.parse::<usize>().ok()?)?;
            Some((item, item.at, rest.strip_prefix('.').unwrap_or(rest)))
        }
        Value::Mapping(entries) => {
            let mut longest: Option<(&Entry, &str)> = None;
            for entry in entries {
                let Some(rest) = path.strip_prefix(entry.key.as_str()) else { continue };
                let whole = rest.is_empty() || rest.starts_with(['.', '[']);
                if whole && longest.is_none_or(|(known, _)| known.key.len() < entry.key.len()) {
                    longest = Some((entry, rest.strip_prefix('.').unwrap_or(rest)));
                }
            }
            longest.map(|(entry, rest)| (&entry.node, entry.place(), rest))
        }
    }
}
