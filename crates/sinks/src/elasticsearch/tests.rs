//! The sink as a whole: what it writes, what it sends, and what it makes of the answers. Not whether a server agrees; that is
//! shown with a real one.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{http, serve, share};
use crate::{BuildContext, SinkConfig};
use forebay_pipeline::ids::Ids;
use std::io::Read as _;
use tokio::net::TcpListener;

const LINES: &str =
    "{\"@timestamp\":\"2026-11-21T08:00:00Z\",\"n\":1}\n{\"@timestamp\":\"2026-11-21T08:00:00Z\",\"n\":2}\n";
const MINTED: Ids = Ids::Minted { epoch: 7, frame: 9 };

fn sink(settings: &str) -> Arc<dyn Sink> {
    let config: SinkConfig =
        serde_json::from_str(&format!("{{\"type\":\"elasticsearch\",{settings}}}")).unwrap();
    config.build("es", &BuildContext::default()).unwrap()
}

fn id_of(action: &str) -> &str {
    let id = action.strip_prefix("{\"create\":{\"_id\":\"").and_then(|rest| rest.strip_suffix("\"}}"));
    id.unwrap_or_else(|| panic!("no action with an id: {action}"))
}

fn text(payload: &Payload) -> String {
    String::from_utf8(payload.bytes.to_vec()).unwrap()
}

#[test]
fn a_destination_is_one_segment_of_the_path() {
    assert_eq!(bulk_path("logs-2026.11.21").unwrap(), "/logs-2026.11.21/_bulk");
    assert_eq!(bulk_path("../_security/x?y#z:%é").unwrap(), "/..%2F_security%2Fx%3Fy%23z%3A%25%C3%A9/_bulk");
    assert_eq!([bulk_path(""), bulk_path("."), bulk_path("..")], [None, None, None]);
}

#[test]
fn each_document_stands_behind_its_action() {
    let mut encoder = sink(r#""ids":true"#).encoder("logs", usize::MAX);
    assert!(encoder.is_empty());
    assert_eq!(encoder.push(&share(LINES, MINTED)), 2);
    let length = encoder.len();
    let payload = encoder.finish();
    assert_eq!((payload.records, payload.bytes.len(), &*payload.destination), (2, length, "logs"));
    let text = text(&payload);
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    let documents: Vec<&str> = LINES.split_terminator('\n').collect();
    assert_eq!([lines[1], lines[3]], documents[..]);
    assert_eq!(lines.len(), 4);
    assert_ne!(id_of(lines[0]), id_of(lines[2]));
    assert_eq!(id_of(lines[0]).len(), 28);
    assert!(text.ends_with('\n'));
}

#[test]
fn a_retry_writes_the_same_ids() {
    let sink = sink(r#""ids":true"#);
    let mut share = share(LINES, MINTED);
    let mut whole = sink.encoder("logs", usize::MAX);
    whole.push(&share);
    let second = share.split_off(1).unwrap();
    let mut half = sink.encoder("logs", usize::MAX);
    half.push(&second);
    assert!(text(&whole.finish()).ends_with(&text(&half.finish())));
}

#[test]
fn actions_follow_the_settings() {
    let cases = [
        (r#""ids":false"#, MINTED, "{\"create\":{}}\n"),
        (r#""ids":true"#, Ids::None, "{\"create\":{}}\n"),
        (r#""op_type":"index","ids":false"#, MINTED, "{\"index\":{}}\n"),
        (r#""op_type":"index""#, MINTED, "{\"index\":{\"_id\":\""),
    ];
    for (settings, ids, expected) in cases {
        let mut encoder = sink(settings).encoder("logs", usize::MAX);
        encoder.push(&share(LINES, ids));
        assert!(text(&encoder.finish()).starts_with(expected), "{settings}");
    }
}

#[test]
fn a_payload_is_full_at_its_limit_and_a_record_beyond_leaves_no_trace() {
    for settings in [r#""ids":false"#, r#""ids":false,"compression":"gzip""#] {
        let one = "{\"create\":{}}\n".len() + LINES.len() / 2;
        for (limit, expected) in [(2 * one, 2), (2 * one - 1, 1), (one, 1), (1, 1)] {
            let mut encoder = sink(settings).encoder("logs", limit);
            assert_eq!(encoder.push(&share(LINES, MINTED)), expected, "{limit}");
            assert_eq!(encoder.len(), expected as usize * one);
            if expected == 1 {
                assert_eq!(encoder.push(&share(LINES, MINTED)), 0, "full stays full");
                assert_eq!(encoder.len(), one);
            }
            assert_eq!(encoder.finish().records, expected);
        }
    }
}

#[test]
#[allow(clippy::disallowed_types)] // inflates what it has deflated itself
fn gzip_inflates_to_the_plain_payload() {
    let line =
        format!("{{\"@timestamp\":\"2026-11-21T08:00:00Z\",\"text\":\"{}\"}}\n", "abcdefgh".repeat(100));
    let lines = line.repeat(500);
    let [plain, zipped] = ["none", "gzip"].map(|compression| {
        let mut encoder = sink(&format!("\"compression\":\"{compression}\"")).encoder("logs", usize::MAX);
        assert_eq!(encoder.push(&share(&lines, MINTED)), 500);
        let length = encoder.len();
        (encoder.finish(), length)
    });
    assert_eq!(plain.1, zipped.1, "lengths are those before compression");
    assert!(zipped.0.gzip && !plain.0.gzip);
    assert!(zipped.0.bytes.len() * 10 < plain.0.bytes.len());
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(&zipped.0.bytes[..]).read_to_end(&mut inflated).unwrap();
    assert!(inflated == plain.0.bytes);
}

/// A sink in front of a server that gives these answers, and what the server was asked.
async fn against(
    settings: &str,
    answers: &[String],
) -> (Arc<dyn Sink>, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("\"endpoints\":[\"http://{}/base\"]", listener.local_addr().unwrap());
    let server = forebay_pipeline::task::spawn("test server", serve(listener, answers.to_vec()));
    (sink(&format!("{endpoint},{settings}")), server)
}

fn payload(sink: &Arc<dyn Sink>) -> Payload {
    let mut encoder = sink.encoder("logs", usize::MAX);
    encoder.push(&share(LINES, MINTED));
    encoder.finish()
}

#[tokio::test]
async fn requests_have_the_headers_that_every_server_takes() {
    let stored = r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#;
    let answers = [http("200 OK", stored), http("200 OK", stored)];
    let settings = r#""auth":{"username":"u","password":"p"},"require_data_stream":true"#;
    let (sink, server) = against(settings, &answers).await;
    for _ in 0..2 {
        // On one connection: the server accepts no other.
        assert_eq!(sink.send(&payload(&sink)).await, Verdicts::Delivered);
    }
    let requests = server.await.unwrap();
    let (line, rest) = requests[0].split_once("\r\n").unwrap();
    let filter = FILTER.replace(',', "%2C");
    assert_eq!(line, format!("POST /base/logs/_bulk?filter_path={filter}&require_data_stream=true HTTP/1.1"));
    let (head, body) = rest.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    for header in [
        "content-type: application/x-ndjson",
        "accept: application/json",
        "accept-encoding: identity",
        concat!("user-agent: forebay/", env!("CARGO_PKG_VERSION")),
        "authorization: basic dtpw",
        "x-opaque-id: forebay-1",
    ] {
        assert!(head.split("\r\n").any(|line| line == header), "{header} is not in {head}");
    }
    assert!(!head.contains("content-encoding"));
    assert!(body.starts_with("{\"create\":"));
    assert!(requests[1].contains("forebay-2"));
}

#[tokio::test]
async fn a_compressed_request_says_so_and_an_api_key_is_sent() {
    let settings = r#""compression":"gzip","auth":{"api_key":"c2VjcmV0"}"#;
    let (sink, server) = against(settings, &[http("401 Unauthorized", "")]).await;
    assert_eq!(sink.send(&payload(&sink)).await, Verdicts::Blocked { reason: "HTTP 401".to_owned() });
    let request = &server.await.unwrap()[0].to_lowercase();
    assert!(request.contains("\r\ncontent-encoding: gzip\r\n"));
    assert!(request.contains("\r\nauthorization: apikey c2vjcmv0\r\n"));
}

#[tokio::test]
async fn silence_is_a_retry_and_a_sign_of_overload() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("\"endpoints\":[\"http://{}\"]", listener.local_addr().unwrap());
    let sink = sink(&format!("{endpoint},\"timeout\":\"50ms\""));
    let verdicts = sink.send(&payload(&sink)).await;
    assert!(matches!(verdicts, Verdicts::Retry { overloaded: true, .. }), "{verdicts:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_retry() {
    let whole =
        http("200 OK", r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#);
    let (sink, server) = against(r#""ids":true"#, &[whole[..whole.len() - 10].to_owned()]).await;
    let sent = payload(&sink);
    let (verdicts, _) = tokio::join!(sink.send(&sent), server);
    assert!(matches!(verdicts, Verdicts::Retry { overloaded: false, .. }), "{verdicts:?}");
}

#[tokio::test]
async fn an_answer_is_read_up_to_a_limit_whatever_it_says_of_its_length() {
    let long = " ".repeat(2 << 20);
    let in_chunks = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    let until_closed = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{long}");
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_owned();
    for answer in [in_chunks, until_closed, announced] {
        let (sink, server) = against(r#""ids":true"#, &[answer]).await;
        let verdicts = sink.send(&payload(&sink)).await;
        let Verdicts::Retry { reason, overloaded: false, .. } = &verdicts else { panic!("{verdicts:?}") };
        assert!(reason.ends_with("the answer is longer than 1056768 bytes"), "{reason}");
        server.abort();
    }
}

#[tokio::test]
async fn the_template_is_installed_without_what_the_server_lacks() {
    let lacking = r#"{"error":{"type":"mapper_parsing_exception","reason":"unsupported parameters: [subobjects : false]"}}"#;
    let answers = [http("400 Bad Request", lacking), http("200 OK", r#"{"acknowledged":true}"#)];
    let (sink, server) =
        against(r#""template":{"name":"mine","patterns":["a-*"],"traces":[],"metrics":[]}"#, &answers).await;
    assert_eq!(sink.prepare().await, Ok(()));
    let requests = server.await.unwrap();
    assert!(requests[0].starts_with("PUT /base/_index_template/mine HTTP/1.1\r\n"));
    assert_eq!([&requests[0], &requests[1]].map(|request| request.contains("subobjects")), [true, false]);
}

#[tokio::test]
async fn a_template_that_is_refused_is_told_with_the_reason() {
    let refusal = r#"{"error":{"type":"security_exception","reason":"unauthorized"},"status":403}"#;
    let (sink, server) = against(r#""ids":true"#, &[http("403 Forbidden", refusal)]).await;
    let told = sink.prepare().await.unwrap_err();
    assert_eq!(told, "index template forebay: HTTP 403: security_exception: unauthorized");
    server.await.unwrap();
}

#[tokio::test]
async fn no_template_is_installed_if_so_set() {
    // Nothing listens at the endpoint, so any request would be an error.
    let sink = sink(r#""endpoints":["http://127.0.0.1:9"],"template":{"install":false}"#);
    assert_eq!(sink.prepare().await, Ok(()));
}
