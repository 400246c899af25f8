//! A batch as a `_bulk` of Elasticsearch, and what its items were answered.

use crate::client::Answer;
use crate::record::{Kind, Origin};
use crate::world::INDEX;
use serde_json::{Value, json};

/// An action and its document by turns. `create` and `index` mean the same here.
pub fn body(origin: &Origin, numbers: &[u32]) -> String {
    let mut body = String::new();
    for number in numbers {
        let content = origin.content(*number);
        let mut action = json!({"_index": format!("{INDEX}{}", content.lane)});
        if let Some(key) = content.key {
            action["_id"] = key.into();
        }
        let op = if number.is_multiple_of(2) { "create" } else { "index" };
        body.push_str(&json!({ op: action }).to_string());
        body.push('\n');
        body.push_str(&origin.line(*number));
        body.push('\n');
    }
    body
}

/// Every item must be answered in its place: the spoilt ones with 400, all others with success.
pub fn answer(origin: &Origin, numbers: &[u32], body: &[u8]) -> Answer {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = said["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.len() != numbers.len() {
        return Answer::Never(format!("{} items answered of {}", items.len(), numbers.len()));
    }
    let mut rejected = 0;
    for (item, number) in items.iter().zip(numbers) {
        let status = item.as_object().and_then(|item| item.values().next()?["status"].as_u64());
        match (origin.kind(*number), status) {
            (Kind::Spoilt, Some(400)) => rejected += 1,
            (Kind::Spoilt, _) | (_, None | Some(300..)) => {
                return Answer::Never(format!("{} was answered {item}", origin.id(*number)));
            }
            _ => {}
        }
    }
    Answer::Taken { rejected: Some(rejected) }
}
