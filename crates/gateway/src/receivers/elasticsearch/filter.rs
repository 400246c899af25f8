//! `filter_path`: which parts of an answer a client wants (Elasticsearch reference, "Response filtering").

use serde_json::{Map, Value};

/// More patterns than this are not looked at: each costs time for every field of an answer.
const MAX_PATTERNS: usize = 64;
/// Segments of one pattern that are looked at. No answer is nested so deep.
const MAX_SEGMENTS: usize = 16;

/// The patterns of a request. Without any, everything is kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filter {
    wanted: Vec<Vec<String>>,
    unwanted: Vec<Vec<String>>,
}

impl Filter {
    /// Reads the value of `filter_path`: patterns between commas, each of segments between dots. `*` stands for any part of a segment, `**` for any
    /// segments; a `-` in front leaves out.
    pub fn parse(patterns: &str) -> Self {
        let mut filter = Self::default();
        for pattern in patterns.split(',').map(str::trim).filter(|it| !it.is_empty()).take(MAX_PATTERNS) {
            let (list, pattern) = match pattern.strip_prefix('-') {
                Some(pattern) => (&mut filter.unwanted, pattern),
                None => (&mut filter.wanted, pattern),
            };
            list.push(pattern.split('.').take(MAX_SEGMENTS).map(str::to_owned).collect());
        }
        filter
    }

    /// Whether the value at this path, which is no object, is part of the answer. Arrays are no segment.
    pub fn keeps(&self, path: &[&str]) -> bool {
        let is_in = |list: &[Vec<String>]| list.iter().any(|pattern| covers(pattern, path));
        (self.wanted.is_empty() || is_in(&self.wanted)) && !is_in(&self.unwanted)
    }

    /// The parts of an answer that are kept; an empty object if none is.
    pub fn apply(&self, answer: Value) -> Value {
        if *self == Self::default() {
            return answer;
        }
        self.part(answer, &mut Vec::new()).unwrap_or_else(|| Value::Object(Map::new()))
    }

    fn part(&self, value: Value, path: &mut Vec<String>) -> Option<Value> {
        match value {
            Value::Object(members) => {
                let mut kept = Map::new();
                for (key, value) in members {
                    path.push(key);
                    let part = self.part(value, path);
                    let key = path.pop().unwrap_or_default();
                    kept.extend(part.map(|part| (key, part)));
                }
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(elements) => {
                let kept: Vec<Value> =
                    elements.into_iter().filter_map(|element| self.part(element, path)).collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            leaf => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                self.keeps(&path).then_some(leaf)
            }
        }
    }
}

/// Whether a pattern is that of the path or of something around it.
fn covers(pattern: &[String], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, _) => true,
        (Some((first, rest)), _) if first == "**" => {
            covers(rest, path) && (!rest.is_empty() || !path.is_empty())
                || path.split_first().is_some_and(|(_, path)| covers(pattern, path))
        }
        (Some(_), None) => false,
        (Some((first, rest)), Some((segment, path))) => is_like(first, segment) && covers(rest, path),
    }
}

/// Whether `text` is like a pattern in which `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place is as good as any: what follows has only more left to choose from.
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> Value {
        json!({"took": 3, "errors": true, "items": [
            {"index": {"_index": "a", "status": 201}},
            {"create": {"_index": "b", "status": 400, "error": {"type": "t", "reason": "r"}}}]})
    }

    #[test]
    fn what_agents_send_leaves_what_agents_read() {
        let kept = |patterns: &str| Filter::parse(patterns).apply(answer());
        assert_eq!(kept(""), answer());
        let of_agents = json!({"errors": true, "items": [
            {"index": {"status": 201}},
            {"create": {"status": 400, "error": {"type": "t", "reason": "r"}}}]});
        assert_eq!(kept("errors,items.*.error,items.*.status"), of_agents);
        assert_eq!(kept("errors, items.**.status ,items.*.err*"), of_agents);
        assert_eq!(kept("-took,-items.*._index"), of_agents);
        assert_eq!(kept("items.*.error.type"), json!({"items": [{"create": {"error": {"type": "t"}}}]}));
        assert_eq!(kept("**.reason"), json!({"items": [{"create": {"error": {"reason": "r"}}}]}));
        assert_eq!(kept("t*k"), json!({"took": 3}));
        assert_eq!(kept("items.*.error,-**.reason"), kept("items.*.error.type"));
        assert_eq!(kept("nothing"), json!({}));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "status", true),
            ("st*us", "status", true),
            ("s*t*s", "status", true),
            ("*tus", "status", true),
            ("st*", "status", true),
            ("st*st", "st", false),
            ("*x*", "status", false),
            ("status", "statu", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
