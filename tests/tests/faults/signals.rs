//! More than one signal to end.

use crate::client::client;
use crate::event::Event;
use forebay_tests::{Gateway, wait_until};
use serde_json::Value;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Nothing listens where the sink sends to, so what is taken stays on its way.
const CONFIG: &str = r#"
receivers:
  json: {listen: "127.0.0.1:{json}", ack_timeout: 25s}
sinks:
  es: {type: elasticsearch, endpoints: ["http://127.0.0.1:9"]}
routes:
- {name: all, to: [es], index: project-signals}
dead_letters: {path: "{dir}/letters"}
admin: {listen: "127.0.0.1:{admin}"}
drain: {door_open: 60s, deadline: 60s}
"#;
/// The same, with a door that closes at once.
fn with_a_short_door() -> String {
    CONFIG.replace("door_open: 60s", "door_open: 100ms")
}

const SOON: Duration = Duration::from_secs(10);

fn owing_ten(config: &str) -> Gateway {
    let gateway = Gateway::start(config).unwrap();
    let ports = gateway.ports;
    // Nobody answers it, which it takes a while to believe.
    thread::spawn(move || client("json", ports).send(&Event::batch("json", 10)));
    let owes = || Ok((gateway.ledger()?.in_flight == 10.0).then_some(()));
    wait_until("a request under way", SOON, owes).unwrap();
    gateway
}

#[test]
fn a_second_signal_after_the_door_has_closed_does_not_cut_the_drain() {
    let mut gateway = owing_ten(&with_a_short_door());
    gateway.sigterm().unwrap();
    thread::sleep(Duration::from_secs(1));
    gateway.sigterm().unwrap();
    thread::sleep(Duration::from_secs(1));
    gateway.pid().unwrap();
    gateway.ledger().unwrap();
    gateway.sigterm().unwrap();
    assert_eq!(gateway.wait_for_end().unwrap().0.code(), Some(1));
}

#[test]
fn a_second_signal_closes_the_door_and_one_more_ends_the_process() {
    let mut gateway = owing_ten(CONFIG);
    let ports = gateway.ports;
    let is_open = || TcpStream::connect(("127.0.0.1", ports.json)).is_ok();

    gateway.sigterm().unwrap();
    thread::sleep(Duration::from_millis(500));
    assert!(is_open(), "the door stays open for a minute");
    let began = Instant::now();
    gateway.sigterm().unwrap();
    wait_until("a closed door", SOON, || Ok((!is_open()).then_some(()))).unwrap();
    gateway.pid().unwrap();
    gateway.sigterm().unwrap();
    let (status, line) = gateway.wait_for_end().unwrap();
    assert!(began.elapsed() < 2 * SOON, "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(1), "{line}");
    let ledger: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&ledger["message"], &ledger["balanced"]),
        (&"ledger".into(), &false.into()),
        "it says what it gave up: {ledger}"
    );
}
