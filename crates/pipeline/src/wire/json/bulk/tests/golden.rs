//! Bodies as real clients sent them, byte for byte (`golden/`): rsyslog's omelasticsearch, and the official clients for Python and Go with their bulk
//! helpers.

use super::*;

/// What an item of a fixture should be: its action, index and id, and whether it is taken.
type Expected = (Op, &'static str, &'static str, bool);

fn assert_read(body: &str, expected: &[Expected]) {
    let bulk = read(body).unwrap();
    let found: Vec<_> = bulk
        .items
        .iter()
        .map(|item| (item.op, bulk.text(item.index), bulk.text(item.id), item.refused.is_none()))
        .collect();
    assert_eq!(found, expected);
    // Every document is what serde_json makes of a line of the body, and in the body's order.
    let mut lines = body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for document in bulk.documents() {
        let is_source = |line: &Value| {
            let members = line.as_object().unwrap();
            !members.is_empty()
                && members.iter().all(|(name, value)| name == "@timestamp" || document[name] == *value)
                && !["create", "index"].iter().any(|action| members.contains_key(*action))
        };
        assert!(lines.any(|line| is_source(&line)), "{document} is in no line that is left");
    }
}

#[test]
fn of_rsyslog() {
    let item = (Op::Index, "app2.logs", "", true);
    assert_read(include_str!("golden/rsyslog-8.2302.ndjson"), &[item; 3]);
}

#[test]
fn of_the_python_client() {
    assert_read(
        include_str!("golden/elasticsearch-py-8.19.3.ndjson"),
        &[
            (Op::Create, "", "1-0----------------------\\\"é", true),
            (Op::Create, "", "1-1----------------------\\\"é", true),
            (Op::Create, "", "1-2----------------------\\\"é", true),
        ],
    );
    assert_read(
        include_str!("golden/elasticsearch-py-8.19.3-mixed.ndjson"),
        &[
            (Op::Create, "app-logs", "", true),
            (Op::Delete, "app-logs", "x", false),
            (Op::Update, "app-logs", "x", false),
            (Op::Index, "app-logs", "y", false),
            (Op::Index, "app-logs", "", true),
        ],
    );
}

/// It names its index in the path.
#[test]
fn of_the_go_client() {
    assert_read(
        include_str!("golden/go-elasticsearch-8.15.0.ndjson"),
        &[
            (Op::Index, "", "go-0", true),
            (Op::Create, "", "", true),
            (Op::Index, "other", "go-2", true),
            (Op::Delete, "", "go-3", false),
        ],
    );
}
