//! Receivers on real sockets, before a whole pipeline whose sink does as it is told. What they do not prove: that real SDKs
//! agree (black-box tests do), and figures of speed.
#![allow(clippy::unwrap_used)]

mod auth;
mod beats;
mod certs;
mod connections;
mod elasticsearch;
mod forward;
mod forward_auth;
mod grpc;
mod http_logs;
mod json_logs;
mod loki;
mod raw;
mod remote_write;
mod signals;
mod syslog;
mod tcp;
mod tenants;
mod tls;
mod tls_files;

use super::*;
use bytes::Bytes;
use forebay_pipeline::admit::{Intake, Outlet};
use forebay_pipeline::body::Share;
use forebay_pipeline::budget::{Budget, Lease};
use forebay_pipeline::dead_letter::{DeadLetterConfig, DeadLetterDir};
use forebay_pipeline::deliver::{Delivery, DeliveryConfig, Encoder, Payload, Sink, Verdict, Verdicts};
use forebay_pipeline::ledger::{Door, Ledger, Outcome, Told};
use forebay_pipeline::route::{Mode, RouteConfig};
use forebay_pipeline::rules::{Rules, RulesConfig};
use forebay_pipeline::units::{ByteSize, Period};
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use futures_util::future::BoxFuture;
use prost::Message as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What the sink does with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Delivers,
    Refuses,
    /// Says nothing until the house's gate opens.
    Hangs,
}

#[derive(Debug)]
struct Obedient {
    mood: Mood,
    gate: Arc<Semaphore>,
}

impl Sink for Obedient {
    fn encoder(&self, _: &str, _: usize) -> Box<dyn Encoder> {
        Box::new(Counting(0))
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Verdicts> {
        Box::pin(async {
            match self.mood {
                Mood::Delivers => Verdicts::Delivered,
                Mood::Refuses => {
                    let refused = Verdict::Refused { reason: "no mapping for it".to_owned() };
                    Verdicts::Each(vec![refused; payload.records as usize])
                }
                Mood::Hangs => {
                    self.gate.acquire().await.unwrap().forget();
                    Verdicts::Delivered
                }
            }
        })
    }

    fn render(&self, _: &Share, _: u32) -> Vec<u8> {
        b"{}".to_vec()
    }
}

#[derive(Debug)]
struct Counting(u32);

impl Encoder for Counting {
    fn push(&mut self, share: &Share) -> u32 {
        self.0 += share.records();
        share.records()
    }

    fn len(&self) -> usize {
        self.0 as usize
    }

    fn finish(self: Box<Self>) -> Payload {
        Payload { destination: "logs".into(), bytes: Bytes::new(), gzip: false, records: self.0, id: 0 }
    }
}

/// A gateway's receivers with everything behind them.
struct House {
    started: Started,
    ledger: Ledger,
    intake: Arc<Intake>,
    connections: Arc<Budget>,
    gate: Arc<Semaphore>,
    shutdown: CancellationToken,
    _letters: tempfile::TempDir,
}

/// A house whose settings `change` has had a hand in. Every port is a free one.
async fn house_with(mood: Mood, budget: usize, change: impl FnOnce(&mut Receivers)) -> House {
    house_routed(mood, budget, r#"[{"name":"all","to":["sink"],"index":"logs"}]"#, change).await
}

/// A house whose sink refuses everything, and whose route keeps none of it.
async fn house_rejecting(change: impl FnOnce(&mut Receivers)) -> House {
    let routes = r#"[{"name":"all","to":["sink"],"index":"logs","on_refused":"reject"}]"#;
    house_routed(Mood::Refuses, 64 * MIB, routes, change).await
}

async fn house_routed(mood: Mood, budget: usize, routes: &str, change: impl FnOnce(&mut Receivers)) -> House {
    let mut config = Receivers::default();
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let otlp = config.otlp.as_mut().unwrap();
    otlp.grpc.as_mut().unwrap().listen = anywhere;
    otlp.http.as_mut().unwrap().listen = anywhere;
    config.json.as_mut().unwrap().listen = anywhere;
    change(&mut config);
    assert_eq!(config.faults(), []);

    let letters = tempfile::tempdir().unwrap();
    let letters_config = DeadLetterConfig { path: letters.path().to_owned(), ..DeadLetterConfig::default() };
    let letters_dir = Arc::new(DeadLetterDir::open(&letters_config).unwrap());
    let ledger = Ledger::default();
    let budget = Budget::new(budget);
    let gate = Arc::new(Semaphore::new(0));
    let sink = Arc::new(Obedient { mood, gate: Arc::clone(&gate) });
    let delivery = DeliveryConfig::default();
    let handle = Delivery::start("sink".into(), sink, delivery, Arc::clone(&budget), letters_dir as _);
    let routes: Vec<RouteConfig> = serde_json::from_str(routes).unwrap();
    let rules = RulesConfig {
        routes,
        route_mode: Mode::FirstMatch,
        promote: Vec::new(),
        max_event_age: Period::secs(3_600),
        max_event_lead: Period::secs(3_600),
        max_records: 1_000_000,
        max_record_bytes: 16 << 20,
        json: config.json_rules(),
    };
    let rules = Arc::new(Rules::build(&rules, &["sink".into()], &ledger).unwrap());
    let outlets = vec![Outlet {
        name: "sink".into(),
        handle,
        window: MIB,
        pause: Duration::from_millis(10),
        spare: Arc::default(),
        lag: Default::default(),
    }];
    let intake = Arc::new(Intake::new(rules, outlets, Arc::default(), budget));
    let shutdown = CancellationToken::new();
    let connections = Budget::new(64 * MIB);
    let (acknowledge, closing) = (Acknowledge::default(), shutdown.clone());
    let overhead = Arc::clone(&connections);
    let tenants = Arc::default();
    let started =
        start(&config, acknowledge, tenants, Arc::clone(&intake), &ledger, overhead, closing).await.unwrap();
    House { started, ledger, intake, connections, gate, shutdown, _letters: letters }
}

impl House {
    /// All memory of connections but for `left` bytes.
    fn crowd(&self, left: usize) -> Lease {
        self.connections.lease(self.connections.limit() - self.connections.used() - left).unwrap()
    }
}

const MIB: usize = 1 << 20;

async fn house(mood: Mood) -> House {
    house_with(mood, 64 * MIB, |_| ()).await
}

impl House {
    fn grpc(&self) -> SocketAddr {
        self.started.address(OTLP_GRPC).unwrap()
    }

    fn http(&self) -> SocketAddr {
        self.started.address(OTLP_HTTP).unwrap()
    }

    fn json(&self) -> SocketAddr {
        self.started.address(JSON).unwrap()
    }

    fn door(&self, receiver: &str) -> Arc<Door> {
        self.ledger.door(receiver)
    }

    /// What clients of this receiver were told: ok, retry, rejected, gone.
    fn told(&self, receiver: &str) -> [u64; 4] {
        [Told::Ok, Told::Retry, Told::Rejected, Told::Gone].map(|told| self.door(receiver).told(told))
    }

    fn settled(&self, outcome: Outcome) -> u64 {
        self.ledger.accounts().iter().map(|account| account.settled(outcome)).sum()
    }
}

/// Waits for something that another task is about to do.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// An `ExportLogsServiceRequest` of so many records.
fn logs(records: u64) -> ExportLogsServiceRequest {
    let record = |number| LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000 + number,
        severity_text: "INFO".to_owned(),
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: (0..records).map(record).collect(), ..ScopeLogs::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() }],
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_not_named_is_off_and_nothing_named_is_everything() {
    let config: Receivers = serde_json::from_str(r#"{"otlp":{"grpc":{"listen":"0.0.0.0:1"}}}"#).unwrap();
    assert!(config.json.is_none());
    let otlp = config.otlp.unwrap();
    assert!(otlp.http.is_none());
    assert_eq!(otlp.grpc.unwrap().listen.port(), 1);
    assert_eq!(otlp.max_request_bytes, ByteSize::mib(64));
    assert!(serde_json::from_str::<Receivers>(r#"{"otpl":{}}"#).is_err());
    assert_eq!(Receivers::default().faults(), []);
}

#[test]
fn settings_that_cannot_be_right_are_named_all_at_once() {
    let config: Receivers = serde_json::from_str(
        r#"{"otlp":{"max_request_bytes":"2GiB","ack_timeout":"0s"},
            "json":{"path":"logs","timezone":"Mars/Olympus","body_timeout":"0s"}}"#,
    )
    .unwrap();
    let paths: Vec<String> = config.faults().into_iter().map(|(path, _)| path).collect();
    let expected = [
        "otlp",
        "otlp.max_request_bytes",
        "otlp.ack_timeout",
        "json.body_timeout",
        "json.path",
        "json.timezone",
    ];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let house = house(Mood::Delivers).await;
    let taken = house.json();
    let config = Receivers {
        otlp: None,
        json: Some(JsonConfig { listen: taken, ..JsonConfig::default() }),
        ..Receivers::default()
    };
    let error = start(
        &config,
        Acknowledge::default(),
        Arc::default(),
        Arc::clone(&house.intake),
        &house.ledger,
        Budget::new(MIB),
        CancellationToken::new(),
    )
    .await
    .unwrap_err();
    // As the command line prints it: the cause once, behind the address.
    let line = format!("{:#}", anyhow::Error::from(error));
    let start = format!("cannot listen on {taken} (json): ");
    assert!(
        line.strip_prefix(&start).is_some_and(|cause| cause.contains("in use") && !cause.contains(": ")),
        "{line}"
    );
    let names = house.started.to_string();
    assert!(names.contains(&format!("json {taken}")) && names.contains("otlp_grpc 127.0.0.1:"), "{names}");
}
