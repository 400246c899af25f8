//! Quotas of tenants: who is over it is told so in each protocol, before anything is read, and nobody else is.

use super::auth::Secrets;
use super::beats::{Agent, beats_house, event, window};
use super::elasticsearch::bulk_house;
use super::grpc::EXPORT;
use super::raw::{Answer, Wire, call, frame, once};
use super::*;
use tonic::Code;
use tonic_types::StatusExt as _;

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
/// One record a second, and one of burst: the second request is one too many.
const SLOW: &str = r#"{"quota":{"events_per_second":1,"burst":"1s"}}"#;

impl House {
    fn adopt(&self, tenants: &str) {
        let config: TenantsConfig = serde_json::from_str(tenants).unwrap();
        assert_eq!(config.faults(), []);
        self.started.tenants().adopt(Some(&config));
    }

    fn counts(&self, tenant: &str) -> forebay_pipeline::tenant::Counts {
        let all = self.started.tenants().all();
        all.iter().find(|it| &*it.name == tenant).map(|it| it.counts()).unwrap_or_default()
    }
}

async fn metered(tenants: &str) -> House {
    let house = house(Mood::Delivers).await;
    house.adopt(tenants);
    house
}

/// Records of JSON, for this tenant.
async fn post(house: &House, tenant: &str, records: usize) -> Answer {
    let header = if tenant.is_empty() { String::new() } else { format!("x-scope-orgid: {tenant}\r\n") };
    once(house.json(), "POST /", &header, &b"{\"a\":1}\n".repeat(records)).await
}

#[tokio::test]
async fn json_is_told_429_and_when_to_come_back_and_others_are_not() {
    let house = metered(SLOW).await;
    assert_eq!(post(&house, "noisy", 11).await.status, 200);
    let mut wire = Wire::connect(house.json()).await;
    for _ in 0..2 {
        // On one connection: a short body is read and forgotten, so that it can go on.
        let answer = wire.request("POST /", "x-scope-orgid: noisy\r\n", b"{}").await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert!(answer.head.contains("retry-after: 10\r\n"), "{}", answer.head);
        let reason = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("tenant noisy is over its quota for another "), "{reason}");
    }
    assert_eq!(post(&house, "quiet", 1).await.status, 200);
    assert_eq!(post(&house, "", 1).await.status, 200);
    let noisy = house.counts("noisy");
    assert_eq!((noisy.admitted, noisy.bytes, noisy.over_quota), (11, 88, 2));
    assert_eq!((house.counts("quiet").admitted, house.counts("default").admitted), (1, 1));
    assert_eq!(house.told("json"), [3, 2, 0, 0]);
    let door = house.door("json");
    assert_eq!((door.received(), door.admitted(), door.unread()), (13, 13, 2));
    assert!(door.balances());
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn otlp_is_told_resource_exhausted_with_retry_info() {
    let house = metered(SLOW).await;
    let body = logs(10).encode_to_vec();
    let grpc = async || {
        let headers = [("content-type", "application/grpc"), ("x-scope-orgid", "noisy")];
        call(house.grpc(), EXPORT, &headers, frame(0, &body)).await.status.unwrap()
    };
    assert_eq!(grpc().await.code(), Code::Ok);
    let status = grpc().await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let delay = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((Duration::from_secs(7)..Duration::from_secs(9)).contains(&delay), "{delay:?}");
    // The receivers share the tenant.
    let headers = format!("{PROTOBUF}X-Scope-OrgID: noisy\r\n");
    let answer = once(house.http(), "POST /v1/logs", &headers, &body).await;
    assert_eq!(answer.status, 429);
    assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    let status = tonic_types::Status::decode(&answer.body[..]).unwrap();
    assert_eq!((status.code, status.details.len()), (Code::ResourceExhausted as i32, 1));
    assert_eq!(house.counts("noisy").over_quota, 2);
    assert_eq!((house.door("otlp_grpc").unread(), house.door("otlp_http").unread()), (1, 1));
}

#[tokio::test]
async fn a_bulk_is_told_429_as_a_whole() {
    let house = bulk_house(Mood::Delivers, |_| ()).await;
    house.adopt(SLOW);
    let body = b"{\"create\":{}}\n{\"n\":1}\n".repeat(5);
    assert_eq!(house.post("/_bulk", &body).await.status, 200);
    let answer = house.post("/_bulk", &body).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json()["error"]["type"], "es_rejected_execution_exception");
    assert!(answer.head.contains("retry-after: 4\r\n"), "{}", answer.head);
    let counts = house.counts("default");
    assert_eq!((counts.admitted, counts.over_quota), (5, 1));
}

#[tokio::test]
async fn beats_are_not_read_until_the_quota_allows_it() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    house.adopt(
        r#"{"named":[{"name":"here","addresses":["127.0.0.0/8"],"quota":{"events_per_second":10,"burst":"100ms"}}]}"#,
    );
    let mut agent = Agent::connect(&house).await;
    let ten = |first: u32| (first..first + 10).flat_map(|number| event(number, "{}")).collect();
    let start = tokio::time::Instant::now();
    agent.send(&[window(10), ten(1), window(10), ten(11)]).await;
    assert_eq!(agent.acknowledged().await, Some(10));
    assert!(start.elapsed() < Duration::from_millis(800), "{:?}", start.elapsed());
    assert_eq!(agent.acknowledged().await, Some(20));
    assert!(start.elapsed() >= Duration::from_millis(850), "{:?}", start.elapsed());
    let counts = house.counts("here");
    assert_eq!((counts.admitted, counts.over_quota), (20, 0), "who waits is not refused");
}

/// Beats give up after 30 seconds of silence, and send again on another connection what this one is still to read.
#[tokio::test]
async fn beats_that_wait_for_their_quota_are_told_that_they_are_not_forgotten() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    house.adopt(SLOW);
    assert_eq!(post(&house, "", 7).await.status, 200);
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(1), event(1, "{}")]).await;
    assert_eq!(agent.acknowledged().await, Some(0));
    assert_eq!(agent.acknowledged().await, Some(1));
}

#[tokio::test]
async fn beats_that_would_wait_for_too_long_are_let_go() {
    let house = beats_house(Mood::Delivers, |beats| beats.hold_max = Period::millis(200)).await;
    house.adopt(SLOW);
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(3), event(1, "{}"), event(2, "{}"), event(3, "{}")]).await;
    assert_eq!(agent.acknowledged().await, Some(3));
    agent.send(&[window(1), event(4, "{}")]).await;
    assert_eq!(agent.acknowledged().await, None);
    eventually("it is counted", || house.counts("default").over_quota == 1).await;
    assert_eq!(house.told(BEATS), [1, 1, 0, 0]);
}

#[tokio::test]
async fn who_shows_a_token_cannot_spend_the_quota_of_another() {
    let secrets = Secrets::new();
    let house = house_with(Mood::Delivers, 64 * MIB, |config| {
        config.json.as_mut().unwrap().auth = Some(secrets.settings());
    })
    .await;
    house.adopt(SLOW);
    let send = async |token: &str| {
        let headers = format!("authorization: Bearer {token}\r\nx-scope-orgid: victim\r\n");
        once(house.json(), "POST /", &headers, &b"{\"a\":1}\n".repeat(5)).await.status
    };
    assert_eq!((send("s3cret").await, send("s3cret").await), (200, 429));
    assert_eq!(send("another-one").await, 200, "another tenant");
    let [agents, victim] = ["agents", "victim"].map(|name| house.counts(name));
    assert_eq!((agents.admitted, victim.admitted, victim.over_quota), (5, 0, 0));
    // Nobody's requests are nobody's tenant's.
    assert_eq!(post(&house, "victim", 1).await.status, 401);
    assert_eq!(house.started.tenants().all().len(), 4);
}

#[tokio::test]
async fn bytes_are_counted_as_they_are_inside_gzip() {
    let house = metered(r#"{"quota":{"bytes_per_second":1000}}"#).await;
    let body = format!(r#"{{"a":"{}"}}"#, "x".repeat(11_992));
    let answer = once(house.json(), "POST /", "content-encoding: gzip\r\n", &gzip(body.as_bytes())).await;
    assert_eq!(answer.status, 200);
    let answer = post(&house, "", 1).await;
    assert!(answer.status == 429 && answer.head.contains("retry-after: 10\r\n"), "{}", answer.head);
    assert_eq!(house.counts("default").bytes, 12_000);
}

#[tokio::test]
async fn a_malformed_body_costs_its_bytes_and_what_is_rejected_costs_its_records() {
    let house = metered(r#"{"quota":{"events_per_second":1,"bytes_per_second":1000}}"#).await;
    let answer = once(house.http(), "POST /v1/logs", PROTOBUF, &[0xff; 3_000]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(post(&house, "", 1).await.status, 429);
    house.adopt(r#"{"quota":{"events_per_second":1,"burst":"1s"}}"#);
    let answer = once(house.json(), "POST /", "", &b"{\"a\":1}\nbroken\n".repeat(5)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(post(&house, "", 1).await.status, 429);
    let counts = house.counts("default");
    assert_eq!((counts.admitted, counts.rejected), (5, 5));
}

#[tokio::test]
async fn without_the_section_nobody_is_told_apart() {
    let house = house(Mood::Delivers).await;
    for _ in 0..20 {
        assert_eq!(post(&house, "acme", 100).await.status, 200);
    }
    assert!(house.started.tenants().all().is_empty());
    // And none again when it is taken away, on connections that were there before.
    house.adopt(SLOW);
    let mut wire = Wire::connect(house.json()).await;
    let mut send = async || wire.request("POST /", "", &b"{}\n".repeat(9)).await.status;
    assert_eq!((send().await, send().await), (200, 429));
    house.started.tenants().adopt(None);
    assert_eq!(send().await, 200);
}
