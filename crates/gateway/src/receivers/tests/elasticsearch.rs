//! The Elasticsearch port, byte by byte. That real clients agree is for the black-box tests.

use super::raw::{Answer, Wire, once};
use super::*;
use serde_json::{Value, json};

const NDJSON: &str = "content-type: application/x-ndjson\r\n";
const AGENT: &str = "filter_path=errors%2Citems.%2A.error%2Citems.%2A.status";

pub(super) async fn bulk_house(mood: Mood, change: impl FnOnce(&mut ElasticsearchConfig)) -> House {
    house_with(mood, 64 * MIB, |receivers| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut bulk = ElasticsearchConfig { listen, ..ElasticsearchConfig::default() };
        change(&mut bulk);
        receivers.elasticsearch = Some(bulk);
    })
    .await
}

impl House {
    fn bulk(&self) -> SocketAddr {
        self.started.address(ELASTICSEARCH).unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: &[u8]) -> Answer {
        once(self.bulk(), &format!("POST {path}"), NDJSON, body).await
    }
}

/// An answer's body without the time that it took.
fn told(answer: &Answer) -> Value {
    let mut told = answer.json();
    if let Some(took) = told.as_object_mut().unwrap().remove("took") {
        assert!(took.is_u64());
    }
    told
}

#[tokio::test]
async fn an_index_that_elasticsearch_would_not_take_is_not_told_again_for_each_item() {
    let house = bulk_house(Mood::Delivers, |_| ()).await;
    let body = b"{\"delete\":{}}\n".repeat(1_000);
    let answer = house.post(&format!("/{}/_bulk", "a".repeat(256)), &body).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(house.post(&format!("/{}/_bulk", "a".repeat(255)), &body).await.status, 200);
    eventually("the lease is back", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn every_item_has_its_answer_in_its_place() {
    let house = bulk_house(Mood::Delivers, |_| ()).await;
    let body = b"{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"n\":1}\n{\"create\":{}}\n{\"n\":}\n\
                 {\"delete\":{\"_id\":\"2\"}}\n{\"update\":{\"_id\":3}}\n{\"doc\":{}}\n{\"create\":{}}\n{\"n\":4}\n";
    let answer = house.post("/b%22/_bulk", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("x-elastic-product: elasticsearch\r\n"), "{}", answer.head);
    let expected = json!({"errors": true, "items": [
        {"index": {"_index": "a", "_id": "1", "result": "created", "status": 201}},
        {"create": {"_index": "b\"", "error": {
            "type": "document_parsing_exception", "reason": "malformed JSON at byte 62: expected a value"}, "status": 400}},
        {"delete": {"_index": "b\"", "_id": "2", "error": {
            "type": "illegal_argument_exception", "reason": "documents are not deleted here: delete is not supported"},
            "status": 400}},
        {"update": {"_index": "b\"", "_id": "3", "error": {
            "type": "illegal_argument_exception", "reason": "documents are not updated here: update is not supported"},
            "status": 400}},
        {"create": {"_index": "b\"", "result": "created", "status": 201}}]});
    assert_eq!(told(&answer), expected);
    let door = house.door(ELASTICSEARCH);
    assert_eq!((door.received(), door.admitted(), door.rejected()), (5, 2, 3));
    assert_eq!((house.settled(Outcome::Delivered), house.told(ELASTICSEARCH)), (2, [1, 0, 0, 0]));
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn agents_get_what_they_filter_for() {
    let house = bulk_house(Mood::Delivers, |_| ()).await;
    let good = b"{\"create\":{\"_index\":\"a\"}}\n{}\n{\"create\":{}}\n{}\n";
    let mixed = b"{\"create\":{}}\n{}\n{\"create\":{}}\n[]\n";
    let path = format!("/_bulk?{AGENT}");
    let answer = house.post(&path, good).await;
    assert_eq!(
        answer.body,
        br#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#
    );
    let answer = house.post(&path, mixed).await;
    let expected = br#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"error":{"type":"document_parsing_exception","reason":"record 2 is not a JSON object"},"status":400}}]}"#;
    assert_eq!(String::from_utf8_lossy(&answer.body), String::from_utf8_lossy(expected));
    for (filter, body) in [("items.*.error", "{}"), ("errors", "{\"errors\":false}"), ("x", "{}")] {
        let answer = house.post(&format!("/_bulk?filter_path={filter}"), good).await;
        assert_eq!(String::from_utf8_lossy(&answer.body), body, "{filter}");
    }
    let packed = gzip(good);
    let answer =
        once(house.bulk(), "PUT /_bulk", &format!("{NDJSON}content-encoding: gzip\r\n"), &packed).await;
    assert_eq!((answer.status, told(&answer)["errors"].clone()), (200, json!(false)));
}

#[tokio::test]
async fn an_item_is_created_when_its_sink_has_it() {
    let house = bulk_house(Mood::Hangs, |_| ()).await;
    let answer = house.post("/_bulk", b"{\"create\":{}}\n{}\n");
    tokio::pin!(answer);
    let silence = timeout(Duration::from_millis(200), answer.as_mut()).await;
    assert!(silence.is_err(), "answered before anything was delivered");
    house.gate.add_permits(1);
    assert_eq!(answer.await.json()["items"][0]["create"]["status"], 201);
}

#[tokio::test]
async fn what_is_full_or_late_is_429_and_to_be_sent_again() {
    let good = b"{\"create\":{}}\n{}\n";
    let late = bulk_house(Mood::Hangs, |bulk| bulk.ack_timeout = Period::millis(200)).await;
    let full = bulk_house(Mood::Delivers, |_| ()).await;
    let _others = full.intake.budget().lease(64 * MIB - 20).unwrap();
    for (house, path) in [(&late, "/_bulk"), (&full, "/_bulk"), (&full, "/a/_bulk")] {
        let answer = house.post(path, good).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert!(answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
        let told = answer.json();
        assert_eq!(
            (&told["status"], &told["error"]["type"]),
            (&json!(429), &json!("es_rejected_execution_exception"))
        );
        assert_eq!(told["error"]["root_cause"][0]["type"], told["error"]["type"]);
        let door = house.door(ELASTICSEARCH);
        assert!(door.balances());
    }
    assert_eq!((late.told(ELASTICSEARCH), full.told(ELASTICSEARCH)), ([0, 1, 0, 0], [0, 2, 0, 0]));
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_as_elasticsearch_does() {
    let house = bulk_house(Mood::Delivers, |bulk| bulk.max_request_bytes = ByteSize(1000)).await;
    let cases: [(&str, &[u8], u16, &str); 7] = [
        (NDJSON, b"", 400, "request body is required"),
        (NDJSON, b"\n", 400, "no requests added"),
        (NDJSON, b"{\"index\":{}}\n{}", 400, "The bulk request must be terminated by a newline [\\n]"),
        (
            NDJSON,
            b"{\"foo\":{}}\n{}\n",
            400,
            "Malformed action/metadata line [1], expected field [create], [delete], [index] or [update]",
        ),
        ("content-type: text/plain\r\n", b"{}\n", 406, "Content-Type header [text/plain] is not supported"),
        ("", b"{}\n", 406, "Content-Type header [] is not supported"),
        (NDJSON, &[b' '; 1001], 413, "the request is over the limit of 1000 bytes"),
    ];
    let count = cases.len() as u64;
    for (headers, body, status, reason) in cases {
        let answer = once(house.bulk(), "POST /_bulk", headers, body).await;
        assert_eq!((answer.status, answer.json()["error"]["reason"].as_str()), (status, Some(reason)));
        assert_eq!(answer.json()["status"], status);
    }
    assert_eq!(house.told(ELASTICSEARCH), [0, 0, count, 0]);
    let bomb = once(
        house.bulk(),
        "POST /_bulk",
        &format!("{NDJSON}content-encoding: gzip\r\n"),
        &gzip(&vec![b'\n'; 100_000]),
    )
    .await;
    assert_eq!(bomb.status, 413);
    assert_eq!(house.door(ELASTICSEARCH).unread(), count + 1);
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn what_a_sink_refuses_on_a_rejecting_route_is_named_by_its_item() {
    // The house's route keeps dead letters: the items are taken.
    let house = bulk_house(Mood::Refuses, |_| ()).await;
    let answer = house.post("/_bulk", b"{\"create\":{}}\n[]\n{\"create\":{}}\n{}\n").await;
    let statuses = |answer: &Answer| {
        let told = answer.json();
        let items = told["items"].as_array().unwrap().iter();
        items.map(|item| item["create"]["status"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&answer), [400, 201]);
    assert_eq!(house.settled(Outcome::DeadLettered), 1);
    let house = house_rejecting(|receivers| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        receivers.elasticsearch = Some(ElasticsearchConfig { listen, ..ElasticsearchConfig::default() });
    })
    .await;
    let answer = house.post("/_bulk", b"{\"create\":{}}\n[]\n{\"create\":{}}\n{}\n{\"delete\":{}}\n").await;
    assert_eq!(answer.json()["items"][1]["create"]["status"], 400);
    assert_eq!(answer.json()["items"][1]["create"]["error"]["reason"], "no mapping for it");
    assert_eq!(house.told(ELASTICSEARCH), [0, 0, 1, 0]);
    let answer = house.post("/_bulk", "{\"create\":{}}\n{}\n".repeat(20).as_bytes()).await;
    assert_eq!(statuses(&answer), [400; 20]);
    assert_eq!(answer.body.windows(18).filter(|part| part == b"no mapping for it\"").count(), 10);
}

#[tokio::test]
async fn agents_that_set_up_go_on_and_nothing_is_pretended() {
    let house = bulk_house(Mood::Delivers, |_| ()).await;
    let mut wire = Wire::connect(house.bulk()).await;
    let info =
        wire.request("GET /", "accept: application/vnd.elasticsearch+json; compatible-with=9\r\n", b"").await;
    assert_eq!((info.status, &info.json()["version"]["number"]), (200, &json!("8.19.0")));
    assert!(info.head.contains("content-type: application/vnd.elasticsearch+json;compatible-with=9\r\n"));
    assert!(info.head.contains("x-elastic-product: elasticsearch\r\n"));
    for (path, pointer, expected) in [
        ("/_license", "/license/status", json!("active")),
        ("/_license?filter_path=license.type", "/license", json!({"type": "basic"})),
        ("/_xpack", "/features/ilm/enabled", json!(false)),
        ("/_nodes/http", "/nodes/forebay/http/publish_address", json!("x")),
        ("/_cluster/health", "/status", json!("green")),
    ] {
        let answer = wire.request(&format!("GET {path}"), "", b"").await;
        assert_eq!((answer.status, answer.json().pointer(pointer)), (200, Some(&expected)), "{path}");
    }
    let json = "content-type: application/json\r\n";
    for path in [
        "/_index_template/x",
        "/_ilm/policy/x",
        "/_ingest/pipeline/x",
        "/_data_stream/x",
        "/x",
        "/_component_template/x",
    ] {
        assert_eq!(wire.request(&format!("GET {path}"), "", b"").await.status, 404);
        let put = wire.request(&format!("PUT {path}"), json, &vec![b' '; 2 * MIB]).await;
        assert_eq!((put.status, put.json()), (200, json!({"acknowledged": false})));
        assert!(put.head.contains("warning: 299 forebay \"not kept"), "{}", put.head);
        assert_eq!(wire.request(&format!("GET {path}"), "", b"").await.status, 404, "it was not kept");
    }
    assert_eq!(house.told(ELASTICSEARCH), [0; 4], "no documents, no entry");
    for (call, status) in
        [("GET /x/_search", 400), ("PUT /x/_doc/1", 400), ("DELETE /_bulk", 405), ("POST /", 405)]
    {
        let answer = wire.request(call, json, b"{}").await;
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(status)), "{call}");
    }
    assert_eq!(house.told(ELASTICSEARCH), [0, 0, 4, 0]);
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let house = bulk_house(Mood::Delivers, |_| ()).await;
    let mut wire = Wire::connect(house.bulk()).await;
    for (path, status) in [("/", "200"), ("/_index_template/x", "404"), ("/x", "404")] {
        wire.send(format!("HEAD {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        let head = wire.head().await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(head.contains("x-elastic-product: elasticsearch\r\n"), "{head}");
    }
    assert_eq!(wire.request("POST /_bulk", NDJSON, b"{\"index\":{}}\n{}\n").await.status, 200);
}
