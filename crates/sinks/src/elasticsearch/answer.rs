//! The verdict on each document, out of the answer to a bulk request.
//!
//! What an answer does not say clearly was not stored: a wrong count of items or broken JSON means to send again, and ids
//! make that harmless.

use super::OpType;
use super::nodes::Answer;
use elasticsearch::http::StatusCode;
use forebay_pipeline::deliver::{Verdict, Verdicts};
use forebay_pipeline::planted;
use memchr::memmem;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Characters of a server's reason that are kept; some hold the whole document.
const MAX_REASON: usize = 1_000;

/// What became of the `records` of one payload.
pub(super) fn judge(answer: &Answer, records: u32, op: OpType) -> Verdicts {
    if answer.status != StatusCode::OK {
        return judge_request(answer, records);
    }
    if is_plain_success(&answer.body, records) {
        return Verdicts::Delivered;
    }
    let items = match serde_json::from_slice::<Items>(&answer.body) {
        Ok(parsed) => parsed.items,
        Err(error) => return again(format!("the answer cannot be read: {error}")),
    };
    if items.len() != records as usize {
        return again(format!("the answer has {} items for {records} documents", items.len()));
    }
    let verdict = |operation: BTreeMap<String, Item>| match operation.into_values().next() {
        Some(item) => item.judge(op),
        None => Verdict::Retry { reason: "the answer has an empty item".to_owned() },
    };
    Verdicts::Each(items.into_iter().map(verdict).collect())
}

/// Whether the answer says in full that every document was stored where it should be, without reading it as JSON.
fn is_plain_success(body: &[u8], records: u32) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"{")
        && body.ends_with(b"]}")
        && memmem::find(body, b"\"errors\":false").is_some()
        && memmem::find(body, b"\"failure_store\"").is_none()
        && (planted::is("short-answer-is-success")
            || memmem::find_iter(body, b"\"status\":").count() == records as usize)
}

/// An answer to the request as a whole.
fn judge_request(answer: &Answer, records: u32) -> Verdicts {
    let status = answer.status.as_u16();
    let reason = request_reason(answer);
    match status {
        413 => Verdicts::TooLarge { reason },
        400 if records > 1 => Verdicts::TooLarge { reason },
        400 => Verdicts::Each(vec![Verdict::Refused { reason }]),
        429 | 503 | 504 => Verdicts::Retry { reason, after: answer.retry_after, overloaded: true },
        408 | 500.. => Verdicts::Retry { reason, after: answer.retry_after, overloaded: false },
        401..=499 => Verdicts::Blocked { reason },
        // Another 2xx or a redirect: whoever answered is no bulk endpoint now.
        _ => Verdicts::Retry { reason, after: answer.retry_after, overloaded: false },
    }
}

fn again(reason: String) -> Verdicts {
    Verdicts::Retry { reason, after: None, overloaded: false }
}

/// `HTTP 503: type: reason`, or the beginning of what came instead.
pub(super) fn request_reason(answer: &Answer) -> String {
    let said = match serde_json::from_slice::<Whole>(&answer.body) {
        Ok(Whole { error: Cause::Object(error) }) => error.to_string(),
        Ok(Whole { error: Cause::Text(text) }) => text,
        Err(_) => String::from_utf8_lossy(&answer.body).trim().to_owned(),
    };
    let mut reason = format!("HTTP {}", answer.status.as_u16());
    if !said.is_empty() {
        reason.push_str(": ");
        reason.push_str(&said);
    }
    shorten(reason)
}

fn shorten(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[derive(Deserialize)]
struct Items {
    items: Vec<BTreeMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<ErrorCause>,
    failure_store: Option<String>,
}

#[derive(Deserialize)]
struct Whole {
    error: Cause,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Cause {
    Object(ErrorCause),
    Text(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorCause {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
}

impl std::fmt::Display for ErrorCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.as_deref().unwrap_or("unknown error");
        match &self.reason {
            Some(reason) => write!(f, "{kind}: {reason}"),
            None => f.write_str(kind),
        }
    }
}

impl Item {
    fn judge(self, op: OpType) -> Verdict {
        let error = self.error.unwrap_or_default();
        let kind = error.kind.as_deref().unwrap_or_default();
        match self.status {
            200..=299 if self.failure_store.as_deref() == Some("used") => Verdict::Diverted,
            200..=299 => Verdict::Delivered,
            409 if planted::is("conflict-is-refused") => Verdict::Refused { reason: kind.to_owned() },
            408 | 429 | 500.. if planted::is("retry-is-success") => Verdict::Delivered,
            409 if op == OpType::Create && kind == "version_conflict_engine_exception" => Verdict::Duplicate,
            408 | 429 | 500.. => Verdict::Retry { reason: shorten(error.to_string()) },
            _ if error.is_of_the_index(self.status) => {
                Verdict::Blocked { reason: shorten(error.to_string()) }
            }
            400..=499 => Verdict::Refused { reason: shorten(format!("{}: {error}", self.status)) },
            status => Verdict::Retry { reason: format!("the answer has an item of status {status}") },
        }
    }
}

impl ErrorCause {
    /// Whether the fault is not in the document: every other one for this index would be refused too.
    fn is_of_the_index(&self, status: u16) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        match self.kind.as_deref().unwrap_or_default() {
            "index_not_found_exception"
            | "index_closed_exception"
            | "invalid_index_name_exception"
            | "security_exception"
            | "cluster_block_exception" => true,
            // The cluster has as many shards as it may.
            "validation_exception" | "illegal_argument_exception"
                if reason.contains("maximum normal shards open") =>
            {
                true
            }
            // `op_type: index` into a data stream.
            "illegal_argument_exception"
                if reason.starts_with("only write ops with an op_type of create") =>
            {
                true
            }
            _ => matches!(status, 401 | 403),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, retry_after: None, body: body.to_owned().into() }
    }

    fn items(items: &str, records: u32) -> Verdicts {
        judge(&answer(200, &format!("{{\"errors\":true,\"items\":[{items}]}}")), records, OpType::Create)
    }

    /// The verdict on one item, as its kind and reason.
    fn one(item: &str) -> (&'static str, String) {
        let Verdicts::Each(mut verdicts) = items(item, 1) else { panic!("not judged one by one: {item}") };
        match verdicts.remove(0) {
            Verdict::Delivered => ("delivered", String::new()),
            Verdict::Duplicate => ("duplicate", String::new()),
            Verdict::Diverted => ("diverted", String::new()),
            Verdict::Retry { reason } => ("retry", reason),
            Verdict::Blocked { reason } => ("blocked", reason),
            Verdict::Refused { reason } => ("refused", reason),
        }
    }

    fn failed(status: u16, kind: &str, reason: &str) -> String {
        format!(r#"{{"create":{{"status":{status},"error":{{"type":"{kind}","reason":"{reason}"}}}}}}"#)
    }

    #[test]
    fn a_whole_success_is_seen_without_parsing() {
        let body = r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#;
        assert!(is_plain_success(body.as_bytes(), 2));
        assert_eq!(judge(&answer(200, body), 2, OpType::Create), Verdicts::Delivered);
        assert!(is_plain_success(format!("{body}\n").as_bytes(), 2));
        for cut in 0..body.len() {
            assert!(!is_plain_success(&body.as_bytes()[..cut], 2), "{cut}");
            let cut = judge(&answer(200, &body[..cut]), 2, OpType::Create);
            assert!(matches!(cut, Verdicts::Retry { .. }), "{cut:?}");
        }
    }

    #[test]
    fn a_wrong_count_of_items_means_to_send_all_again() {
        let two = r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#;
        for (body, records) in
            [(two, 1), (two, 3), (r#"{"errors":false}"#, 1), ("{}", 1), ("", 1), ("<html>", 1)]
        {
            let verdicts = judge(&answer(200, body), records, OpType::Create);
            assert!(matches!(verdicts, Verdicts::Retry { overloaded: false, .. }), "{body}: {verdicts:?}");
        }
    }

    #[test]
    fn a_document_in_the_failure_store_was_diverted() {
        let body = r#"{"errors":false,"items":[{"create":{"status":201,"failure_store":"used"}},{"create":{"status":201}}]}"#;
        let expected = Verdicts::Each(vec![Verdict::Diverted, Verdict::Delivered]);
        assert_eq!(judge(&answer(200, body), 2, OpType::Create), expected);
    }

    #[test]
    fn items_are_judged_by_status_and_type() {
        let cases = [
            (201, "", "", "delivered"),
            (200, "", "", "delivered"),
            (
                409,
                "version_conflict_engine_exception",
                "[1]: version conflict, document already exists",
                "duplicate",
            ),
            (429, "es_rejected_execution_exception", "rejected execution of coordinating operation", "retry"),
            (429, "rejected_execution_exception", "rejected execution of primary operation", "retry"),
            (
                429,
                "cluster_block_exception",
                "index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage]",
                "retry",
            ),
            (503, "unavailable_shards_exception", "[a][0] Not enough active copies", "retry"),
            (500, "null_pointer_exception", "oops", "retry"),
            (
                403,
                "cluster_block_exception",
                "index [a] blocked by: [FORBIDDEN/8/index write (api)]",
                "blocked",
            ),
            (403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized", "blocked"),
            (404, "index_not_found_exception", "no such index [a] and [action.auto_create_index]", "blocked"),
            (400, "index_closed_exception", "closed", "blocked"),
            (400, "invalid_index_name_exception", "Invalid index name [A], must be lowercase", "blocked"),
            (
                400,
                "validation_exception",
                "this cluster has [1000]/[1000] maximum normal shards open;",
                "blocked",
            ),
            (
                400,
                "illegal_argument_exception",
                "only write ops with an op_type of create are allowed",
                "blocked",
            ),
            (400, "document_parsing_exception", "[1:12] failed to parse field [n] of type [long]", "refused"),
            (400, "mapper_parsing_exception", "failed to parse", "refused"),
            (400, "illegal_argument_exception", "Limit of total fields [5] has been exceeded", "refused"),
            (400, "strict_dynamic_mapping_exception", "introduction of [x] is not allowed", "refused"),
            (409, "something_else", "x", "refused"),
        ];
        for (status, kind, reason, expected) in cases {
            let item = match kind {
                "" => format!(r#"{{"create":{{"status":{status}}}}}"#),
                _ => failed(status, kind, reason),
            };
            let (verdict, said) = one(&item);
            assert_eq!(verdict, expected, "{status} {kind}");
            if matches!(verdict, "retry" | "blocked" | "refused") {
                assert!(said.contains(&format!("{kind}: {reason}")), "{said}");
            }
        }
    }

    #[test]
    fn a_conflict_is_a_duplicate_for_create_only() {
        let conflict =
            failed(409, "version_conflict_engine_exception", "conflict").replace("create", "index");
        let body = format!("{{\"errors\":true,\"items\":[{conflict}]}}");
        let Verdicts::Each(verdicts) = judge(&answer(200, &body), 1, OpType::Index) else { panic!() };
        assert!(matches!(verdicts[0], Verdict::Refused { .. }));
    }

    #[test]
    fn one_bad_document_among_good_ones_is_refused_alone() {
        let good = r#"{"create":{"status":201}}"#;
        let bad = failed(400, "document_parsing_exception", "no number");
        let Verdicts::Each(verdicts) = items(&[good, &bad, good].join(","), 3) else { panic!() };
        let refused = Verdict::Refused { reason: "400: document_parsing_exception: no number".to_owned() };
        assert_eq!(verdicts, [Verdict::Delivered, refused, Verdict::Delivered]);
    }

    #[test]
    fn requests_are_judged_by_status() {
        let body = r#"{"error":{"root_cause":[],"type":"circuit_breaking_exception","reason":"too much"},"status":429}"#;
        let after = Some(Duration::from_secs(3));
        let slow = Answer { retry_after: after, ..answer(429, body) };
        let reason = "HTTP 429: circuit_breaking_exception: too much".to_owned();
        assert_eq!(judge(&slow, 9, OpType::Create), Verdicts::Retry { reason, after, overloaded: true });
        let judged = |status, records| judge(&answer(status, "x"), records, OpType::Create);
        assert_eq!(
            judge(&answer(413, ""), 2, OpType::Create),
            Verdicts::TooLarge { reason: "HTTP 413".to_owned() }
        );
        assert!(matches!(judged(400, 2), Verdicts::TooLarge { .. }));
        assert!(
            matches!(judged(400, 1), Verdicts::Each(verdicts) if matches!(verdicts[0], Verdict::Refused { .. }))
        );
        for status in [401, 403, 404, 405, 406, 415] {
            assert!(matches!(judged(status, 2), Verdicts::Blocked { .. }), "{status}");
        }
        for (status, expected) in
            [(500, false), (502, false), (408, false), (503, true), (504, true), (202, false)]
        {
            let Verdicts::Retry { overloaded, .. } = judged(status, 2) else { panic!("{status}") };
            assert_eq!(overloaded, expected, "{status}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let (_, reason) = one(&failed(400, "x", &"é".repeat(5_000)));
        assert_eq!(reason.chars().count(), MAX_REASON + 1);
    }
}
