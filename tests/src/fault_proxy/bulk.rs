//! Bulk requests taken apart, and their answers put together, shortened and lengthened.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// A body's documents: each an action line and the document's own line.
///
/// # Errors
/// The body is not made of such pairs.
pub(super) fn documents(body: &[u8]) -> Result<Vec<&[u8]>> {
    let mut documents = Vec::new();
    let mut start = 0;
    let mut breaks = 0;
    for (at, byte) in body.iter().enumerate() {
        if *byte == b'\n' {
            breaks += 1;
            if breaks % 2 == 0 {
                documents.push(&body[start..=at]);
                start = at + 1;
            }
        }
    }
    ensure!(start == body.len() && !documents.is_empty(), "not pairs of lines");
    Ok(documents)
}

/// The answer's item for a document that was not forwarded.
pub(super) fn refused(status: u16) -> Value {
    let (kind, reason) = match status {
        429 => ("es_rejected_execution_exception", "rejected execution of primary operation"),
        _ => ("unavailable_shards_exception", "primary shard is not active"),
    };
    json!({"create": {"status": status, "error": {"type": kind, "reason": reason}}})
}

/// The answer to the whole: where `kept` is true the next item of `answer`, elsewhere `refusal`.
///
/// # Errors
/// `answer` has not as many items as `kept` says.
pub(super) fn merge(answer: &[u8], kept: &[bool], refusal: &Value) -> Result<Vec<u8>> {
    let mut items = items_of(answer)?.into_iter();
    let mut merged = Vec::with_capacity(kept.len());
    for is_kept in kept {
        merged.push(if *is_kept { items.next().context("the answer is short")? } else { refusal.clone() });
    }
    ensure!(items.next().is_none(), "the answer has items too many");
    Ok(serde_json::to_vec(&json!({"errors": true, "items": merged}))?)
}

/// The answer with `count` items taken out from position `at` on, or less where it ends.
pub(super) fn shorten(answer: &[u8], at: usize, count: usize) -> Result<Vec<u8>> {
    change(answer, |items| {
        let at = at.min(items.len().saturating_sub(1));
        items.drain(at..(at + count).min(items.len()));
    })
}

/// The answer with `count` copies of its last item at its end.
pub(super) fn lengthen(answer: &[u8], count: usize) -> Result<Vec<u8>> {
    change(answer, |items| {
        if let Some(last) = items.last().cloned() {
            items.extend(std::iter::repeat_n(last, count));
        }
    })
}

fn change(answer: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Result<Vec<u8>> {
    let mut parsed: Value = serde_json::from_slice(answer)?;
    change(parsed["items"].as_array_mut().context("an answer without items")?);
    Ok(serde_json::to_vec(&parsed)?)
}

fn items_of(answer: &[u8]) -> Result<Vec<Value>> {
    let mut parsed: Value = serde_json::from_slice(answer)?;
    match parsed["items"].take() {
        Value::Array(items) => Ok(items),
        other => anyhow::bail!("an answer without items: {other}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ANSWER: &[u8] =
        br#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":409}}]}"#;

    fn statuses(answer: &[u8]) -> Vec<u64> {
        let items = items_of(answer).unwrap();
        items.iter().map(|item| item["create"]["status"].as_u64().unwrap()).collect()
    }

    #[test]
    fn a_body_is_pairs_of_lines() {
        let body = b"{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n{\"b\":2}\n";
        let found = documents(body).unwrap();
        assert_eq!(found, [&body[..22], &body[22..]]);
        assert!(documents(&body[..30]).is_err());
        assert!(documents(b"").is_err());
    }

    #[test]
    fn refusals_stand_where_their_documents_stood() {
        let merged = merge(ANSWER, &[false, true, false, true], &refused(429)).unwrap();
        assert_eq!(statuses(&merged), [429, 201, 429, 409]);
        assert!(merge(ANSWER, &[true], &refused(503)).is_err());
        assert!(merge(ANSWER, &[true, true, true], &refused(503)).is_err());
    }

    #[test]
    fn answers_are_shortened_and_lengthened() {
        assert_eq!(statuses(&shorten(ANSWER, 0, 1).unwrap()), [409]);
        assert_eq!(statuses(&shorten(ANSWER, 9, 9).unwrap()), [201]);
        assert_eq!(statuses(&lengthen(ANSWER, 2).unwrap()), [201, 409, 409, 409]);
        assert!(shorten(b"{}", 0, 1).is_err());
    }
}
