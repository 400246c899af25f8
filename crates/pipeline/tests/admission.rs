//! Admission end to end inside the process: whole or not at all, every record accounted for.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use forebay_pipeline::Signal;
use forebay_pipeline::admit::{Acknowledge, Admitted, BulkItems, Intake, OtlpIds, Outlet, Refusal, Request};
use forebay_pipeline::body::Share;
use forebay_pipeline::budget::Budget;
use forebay_pipeline::dead_letter::{DeadLetterConfig, DeadLetterDir};
use forebay_pipeline::deliver::{Delivery, DeliveryConfig, Encoder, Payload, Sink, Verdicts};
use forebay_pipeline::ledger::{Ledger, Outcome};
use forebay_pipeline::route::{Mode, RouteConfig};
use forebay_pipeline::rules::{Rules, RulesConfig};
use forebay_pipeline::units::Period;
use forebay_pipeline::wire::Malformed;
use forebay_pipeline::wire::json::Format;
use forebay_proto::collector::ExportLogsServiceRequest;
use forebay_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use futures_util::future::BoxFuture;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Takes records once its gate has permits.
#[derive(Debug)]
struct Gated(Semaphore);

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
        Payload { destination: "x".into(), bytes: Bytes::new(), gzip: false, records: self.0, id: 0 }
    }
}

impl Sink for Gated {
    fn encoder(&self, _: &str, _: usize) -> Box<dyn Encoder> {
        Box::new(Counting(0))
    }

    fn send<'a>(&'a self, _: &'a Payload) -> BoxFuture<'a, Verdicts> {
        Box::pin(async {
            self.0.acquire().await.unwrap().forget();
            Verdicts::Delivered
        })
    }

    fn render(&self, _: &Share, _: u32) -> Vec<u8> {
        b"{}".to_vec()
    }
}

struct House {
    intake: Intake,
    ledger: Ledger,
    sinks: Vec<Arc<Gated>>,
    _letters: tempfile::TempDir,
}

/// Sinks `a` and `b`; what has `"x":1` goes to both, what has `"x":2` to `a`, the rest nowhere.
fn house(budget: usize, max_queued_shares: usize, permits: usize) -> House {
    let letters = tempfile::tempdir().unwrap();
    let config = DeadLetterConfig { path: letters.path().to_owned(), ..DeadLetterConfig::default() };
    let letters_dir = Arc::new(DeadLetterDir::open(&config).unwrap());
    let ledger = Ledger::default();
    let budget = Budget::new(budget);
    let sinks: Vec<_> = (0..2).map(|_| Arc::new(Gated(Semaphore::new(permits)))).collect();
    let outlet = |(name, sink): (&str, &Arc<Gated>)| {
        let config = DeliveryConfig { max_queued_shares, ..DeliveryConfig::default() };
        let sink = Arc::clone(sink) as Arc<dyn Sink>;
        let handle =
            Delivery::start(name.into(), sink, config, Arc::clone(&budget), Arc::clone(&letters_dir) as _);
        Outlet {
            name: name.into(),
            handle,
            window: 1 << 20,
            pause: Duration::from_millis(10),
            spare: Arc::default(),
            lag: Default::default(),
        }
    };
    let outlets = ["a", "b"].into_iter().zip(&sinks).map(outlet).collect();
    let routes: Vec<RouteConfig> = serde_json::from_str(
        r#"[{"name":"both","to":["a","b"],"index":"both","when":{"field":"x","equals":1}},
            {"name":"one","to":["a"],"index":"one","when":{"field":"x","equals":2}}]"#,
    )
    .unwrap();
    let config = RulesConfig {
        routes,
        route_mode: Mode::FirstMatch,
        promote: Vec::new(),
        max_event_age: Period::secs(3_600),
        max_event_lead: Period::secs(3_600),
        max_records: 1_000_000,
        max_record_bytes: 16 << 20,
        json: BTreeMap::new(),
    };
    let rules = Arc::new(Rules::build(&config, &["a".into(), "b".into()], &ledger).unwrap());
    let intake = Intake::new(rules, outlets, Arc::default(), Arc::clone(&budget));
    House { intake, ledger, sinks, _letters: letters }
}

impl House {
    fn request(&self, body: &str) -> Result<Request, Refusal> {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let lease = self.intake.budget().lease(bytes.len())?;
        Ok(Request {
            bytes,
            lease,
            receiver: "json".into(),
            acknowledge: Acknowledge::Delivered,
            tenant: None,
        })
    }

    fn json(&self, body: &str) -> Result<Admitted, Refusal> {
        self.intake.admit_json(self.request(body)?, &self.ledger.door("json"), Format::Auto)
    }

    fn bulk(&self, body: &str) -> Result<(Admitted, BulkItems), Refusal> {
        self.intake.admit_bulk(self.request(body)?, &self.ledger.door("bulk"), b"")
    }

    fn owed(&self) -> u64 {
        self.ledger.accounts().iter().map(|account| account.owed()).sum()
    }

    fn settled(&self, outcome: Outcome) -> u64 {
        self.ledger.accounts().iter().map(|account| account.settled(outcome)).sum()
    }
}

#[tokio::test]
async fn every_record_is_owed_once_for_each_sink_of_its_route() {
    let house = house(1 << 20, 1024, 100);
    let admitted = house.json("{\"x\":1}\n{\"x\":2}\n{\"x\":3}\nbroken\n{\"x\":1}\n").unwrap();
    assert_eq!((admitted.records, admitted.rejected.count), (4, 1));
    assert_eq!(admitted.rejected.reasons[0].0, 4);
    let settled = admitted.answer.settled().await.unwrap();
    assert_eq!(settled.abandoned, 0);
    assert_eq!(house.owed(), 2 * 2 + 1 + 1);
    assert_eq!((house.settled(Outcome::Delivered), house.settled(Outcome::Unrouted)), (5, 1));
    let door = house.ledger.door("json");
    assert_eq!((door.received(), door.admitted(), door.rejected(), door.refused()), (5, 4, 1, 0));
}

#[tokio::test]
async fn a_full_sink_refuses_the_whole_request_and_the_other_sink_gets_nothing_of_it() {
    let house = house(1 << 30, 256, 0);
    // Sink `a` alone is filled until it refuses; then a request for both must leave `b` untouched.
    let mut held = Vec::new();
    let refused = loop {
        match house.json("{\"x\":2}\n") {
            Ok(admitted) => held.push(admitted),
            Err(refusal) => break refusal,
        }
        assert!(held.len() < 10_000, "it never fills");
        tokio::task::yield_now().await;
    };
    assert!(matches!(refused, Refusal::SinkFull { sink } if &*sink == "a"));
    let owed = house.owed();
    assert!(house.json("{\"x\":1}\n{\"x\":2}\n").is_err());
    assert_eq!(house.owed(), owed, "a refused request owes nothing");
    let door = house.ledger.door("json");
    assert_eq!(door.refused(), 3);
    assert!(door.balances());
}

#[tokio::test]
async fn the_budget_counts_the_index_too_and_is_given_back_when_all_is_settled() {
    let house = house(2_000, 1024, 0);
    // 100 lines of 8 bytes are within the budget, but not with 24 bytes of index for each.
    let never = house.json(&"{\"x\":2}\n".repeat(100));
    assert!(matches!(never, Err(Refusal::Malformed(Malformed::TooLarge { limit: 2_000, .. }))));
    assert_eq!((house.intake.budget().used(), house.owed()), (0, 0));
    let admitted = house.json(&"{\"x\":1}\n".repeat(30)).unwrap();
    let used = house.intake.budget().used();
    assert!(used > 30 * 8);
    assert!(matches!(house.json(&"{\"x\":1}\n".repeat(30)), Err(Refusal::Exhausted(_))));
    assert_eq!(house.intake.budget().used(), used);
    house.sinks.iter().for_each(|sink| sink.0.add_permits(10));
    admitted.answer.settled().await.unwrap();
    for _ in 0..100 {
        if house.intake.budget().used() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} bytes are still leased", house.intake.budget().used());
}

/// Items are leased in steps, beside their body. No step is what keeps a request out, and one that would not fit into all of the budget is told so,
/// wherever it ends.
#[tokio::test]
async fn a_bulk_fits_to_the_last_byte_and_one_that_never_fits_is_refused_for_good() {
    let body = "{\"create\":{}}\n{\"x\":1}\n".repeat(1_000);
    let roomy = house(1 << 20, 1024, 0);
    let _taken = roomy.bulk(&body).unwrap();
    let need = roomy.intake.budget().used();
    assert!(need > body.len() + (128 << 10), "{need} bytes are no more than two steps");
    for spare in [0, 1, 40_000, 64 << 10] {
        let house = house(need + spare, 1024, 0);
        let (admitted, items) = house.bulk(&body).unwrap();
        assert_eq!((admitted.records, items.items.len(), house.intake.budget().used()), (1_000, 1_000, need));
    }
    for missing in [1, 8_000, 40_000, 64 << 10, need - body.len()] {
        let house = house(need - missing, 1024, 0);
        match house.bulk(&body) {
            Err(Refusal::Malformed(Malformed::TooLarge { .. })) => {}
            Err(Refusal::Exhausted(exhausted)) if exhausted.is_hopeless() => {}
            other => panic!("{missing} bytes are missing: {other:?}"),
        }
        let door = house.ledger.door("bulk");
        assert_eq!((door.rejected(), door.refused(), house.intake.budget().used()), (1_000, 0, 0));
    }
    // What others hold is given back some time.
    let house = house(need + 10, 1024, 0);
    let _other = house.intake.budget().lease(11).unwrap();
    assert!(matches!(house.bulk(&body), Err(Refusal::Exhausted(exhausted)) if !exhausted.is_hopeless()));
    assert_eq!((house.ledger.door("bulk").refused(), house.intake.budget().used()), (1_000, 11));
}

#[tokio::test]
async fn a_malformed_request_is_turned_away_unread_and_unrouted_records_are_counted() {
    let house = house(1 << 20, 1024, 100);
    let body = |times: &[u64]| {
        let record = |time: &u64| LogRecord { time_unix_nano: *time, ..LogRecord::default() };
        let scope_logs =
            vec![ScopeLogs { log_records: times.iter().map(record).collect(), ..ScopeLogs::default() }];
        let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
        Bytes::from(ExportLogsServiceRequest { resource_logs }.encode_to_vec())
    };
    let door = house.ledger.door("otlp");
    for times in [&[1, 2, 2][..], &[1, 0], &[]] {
        let bytes = body(times);
        let lease = house.intake.budget().lease(bytes.len()).unwrap();
        let request = Request {
            bytes,
            lease,
            receiver: "otlp".into(),
            acknowledge: Acknowledge::Delivered,
            tenant: None,
        };
        let admitted = house.intake.admit_otlp(Signal::Logs, request, &door, OtlpIds::Content).unwrap();
        assert_eq!(admitted.records, times.len() as u64);
        assert_eq!(admitted.answer.settled().await.unwrap().abandoned, 0);
    }
    assert_eq!(house.settled(Outcome::Unrouted), 5);
    let request = Request {
        bytes: Bytes::from_static(&[0x0a, 0x05, 0x01]),
        lease: house.intake.budget().lease(3).unwrap(),
        receiver: "otlp".into(),
        acknowledge: Acknowledge::Delivered,
        tenant: None,
    };
    assert!(matches!(
        house.intake.admit_otlp(Signal::Logs, request, &door, OtlpIds::Content),
        Err(Refusal::Malformed(_))
    ));
    assert_eq!((door.unread(), door.admitted()), (1, 5));
}
