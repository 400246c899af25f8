//! What is counted goes on being counted when a reload puts something new in the place of what counted it.

use forebay_tests::{Gateway, wait_until};
use std::time::Duration;

/// A sink that is never there and drops what is too old, and one that is quick.
const CONFIG: &str = r#"
receivers:
  json: {listen: "127.0.0.1:{json}"}
sinks:
  es: {type: elasticsearch, endpoints: ["http://127.0.0.1:9"], delivery: {window_bytes: 256KiB, lag: {max_bytes: 3MiB, on_lag: drop_oldest}}}
  files: {type: file, path: "{dir}/files", max_files: 3}
routes:
- {name: all, to: [es, files], index: counters}
acknowledge: durable
journal: {path: "{dir}/journal", segment_bytes: 1MiB, max_bytes: 32MiB}
dead_letters: {path: "{dir}/letters"}
admin: {listen: "127.0.0.1:{admin}"}
drain: {door_open: 0s}
"#;
const WAIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 300;

/// Sends so many requests of a quarter of a mebibyte, whose events are all too old to choose their destination.
fn send(gateway: &Gateway, requests: usize) {
    let line = format!("{{\"time\":\"2020-01-01T00:00:00Z\",\"text\":\"{}\"}}\n", "x".repeat(800));
    let body = line.repeat(RECORDS);
    for _ in 0..requests {
        let post = ureq::post(format!("http://127.0.0.1:{}/", gateway.ports.json));
        assert_eq!(post.content_type("application/x-ndjson").send(&body).unwrap().status(), 200);
    }
}

#[test]
fn a_reload_begins_no_count_anew() {
    let gateway = Gateway::start(CONFIG).unwrap();
    let count = |name: &str, labels: &[(&str, &str)]| gateway.metrics().unwrap().sum(name, labels);
    let counts = || {
        [
            count("forebay_journal_dropped_requests_total", &[("sink", "es")]),
            count("forebay_journal_dropped_records_total", &[("sink", "es")]),
            count("forebay_delivery_payloads_total", &[("sink", "files")]),
        ]
    };
    let all_above = |before: [f64; 3]| {
        let more = || Ok(counts().iter().zip(before).all(|(now, before)| *now > before).then_some(()));
        wait_until("all counts to go on", WAIT, more).unwrap();
    };
    let outside = || count("forebay_events_outside_window_total", &[]);
    send(&gateway, 40);
    all_above([0.0; 3]);
    assert_eq!(outside(), (40 * RECORDS) as f64);
    // Until nothing more is dropped or sent of these.
    std::thread::sleep(Duration::from_secs(3));
    let before = counts();

    gateway
        .configure(&CONFIG.replace("127.0.0.1:9\"", "127.0.0.1:10\"").replace("max_files: 3", "max_files: 4"))
        .unwrap();
    gateway.sighup().unwrap();
    let done = || Ok((count("forebay_config_reloads_total", &[("result", "done")]) == 1.0).then_some(()));
    wait_until("the reload", WAIT, done).unwrap();
    send(&gateway, 20);
    all_above(before);
    assert_eq!(outside(), (60 * RECORDS) as f64);
}
