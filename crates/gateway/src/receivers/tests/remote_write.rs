//! The remote-write port, byte by byte. That a real Prometheus agrees is for the black-box tests.

use super::raw::{Answer, once};
use super::*;
use forebay_proto::prometheus::{Histogram, one, two};

const HEAD: &str = "content-encoding: snappy\r\nx-prometheus-remote-write-version: 2.0.0\r\ncontent-type: application/x-protobuf";
const ROUTES: &str = r#"[{"name":"all","signals":["metrics"],"to":["sink"],"index":"metrics"}]"#;
const TWO: &str = ";proto=io.prometheus.write.v2.Request";

async fn write_house(mood: Mood, routes: &str, change: impl FnOnce(&mut RemoteWriteConfig)) -> House {
    house_routed(mood, 64 * MIB, routes, |receivers| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut write = RemoteWriteConfig { listen, ..RemoteWriteConfig::default() };
        change(&mut write);
        receivers.remote_write = Some(write);
    })
    .await
}

impl House {
    async fn write(&self, head: &str, body: &[u8]) -> Answer {
        let address = self.started.address(REMOTE_WRITE).unwrap();
        once(address, "POST /api/v1/write", &format!("{head}\r\n"), body).await
    }

    async fn write_two(&self, message: &two::Request) -> Answer {
        self.write(&format!("{HEAD}{TWO}"), &pack(&message.encode_to_vec())).await
    }
}

fn pack(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(plain).unwrap()
}

/// What the headers count: samples, histograms, exemplars.
fn written(answer: &Answer) -> [u64; 3] {
    ["samples", "histograms", "exemplars"].map(|kind| {
        let name = format!("x-prometheus-remote-write-{kind}-written: ");
        let line = answer.head.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name}in {}", answer.head)).trim().parse().unwrap()
    })
}

/// Two samples, the last with an exemplar, and a histogram.
fn message() -> two::Request {
    let samples = vec![two::Sample { value: 1.5, timestamp: 1_700_000_000_000, start_timestamp: 0 }; 2];
    let exemplars = vec![two::Exemplar::default()];
    let labels_refs = vec![1, 2];
    let histograms = vec![Histogram { timestamp: 1_700_000_000_000, ..Histogram::default() }];
    let timeseries = vec![
        two::TimeSeries { labels_refs: labels_refs.clone(), samples, exemplars, ..Default::default() },
        two::TimeSeries { labels_refs, histograms, ..Default::default() },
    ];
    two::Request { symbols: ["", "__name__", "up"].map(str::to_owned).to_vec(), timeseries }
}

#[tokio::test]
async fn success_is_204_without_a_word_and_counts_what_was_written() {
    let house = write_house(Mood::Delivers, ROUTES, |_| ()).await;
    let answer = house.write_two(&message()).await;
    assert_eq!((answer.status, &answer.body[..]), (204, &b""[..]), "{answer:?}");
    assert_eq!(written(&answer), [2, 1, 1]);
    let label = |name: &str, value: &str| one::Label { name: name.to_owned(), value: value.to_owned() };
    let series = one::TimeSeries {
        labels: vec![label("job", "x"), label("__name__", "up")],
        samples: vec![one::Sample::default()],
        ..Default::default()
    };
    let metadata = vec![one::MetricMetadata::default(); 2];
    let first = pack(&one::WriteRequest { timeseries: vec![series], metadata }.encode_to_vec());
    for head in
        [HEAD.to_owned(), format!("{HEAD}; Proto=\"prometheus.WriteRequest\""), "user-agent: old".to_owned()]
    {
        let answer = house.write(&head, &first).await;
        assert_eq!((answer.status, written(&answer)), (204, [1, 0, 0]), "{head}: {answer:?}");
    }
    assert_eq!(house.write(HEAD, &pack(b"")).await.status, 204, "an empty request is a success");
    assert_eq!((house.settled(Outcome::Delivered), house.told(REMOTE_WRITE)), (12, [5, 0, 0, 0]));
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn a_partial_write_is_400_with_counts_and_reasons() {
    let house = write_house(Mood::Delivers, ROUTES, |_| ()).await;
    let mut message = message();
    message.timeseries[1].labels_refs.push(1);
    let answer = house.write_two(&message).await;
    assert_eq!((answer.status, written(&answer)), (400, [2, 0, 1]), "{answer:?}");
    let expected = "1 records rejected; written: 2 samples, 0 histograms, 1 exemplars; series 2: an odd number of label references";
    assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    let door = house.door(REMOTE_WRITE);
    assert_eq!((door.received(), door.admitted(), door.rejected()), (3, 2, 1));
    assert_eq!((house.settled(Outcome::Delivered), house.told(REMOTE_WRITE)), (2, [0, 0, 1, 0]));
}

#[tokio::test]
async fn what_the_sink_refuses_for_good_is_not_counted_as_written() {
    let routes =
        r#"[{"name":"all","signals":["metrics"],"to":["sink"],"index":"metrics","on_refused":"reject"}]"#;
    let house = write_house(Mood::Refuses, routes, |_| ()).await;
    let answer = house.write_two(&message()).await;
    assert_eq!((answer.status, written(&answer)), (400, [0, 0, 0]), "{answer:?}");
    assert!(
        String::from_utf8_lossy(&answer.body).ends_with("the sink said: no mapping for it"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_is_full_or_late_is_503_and_to_be_sent_again() {
    let late = write_house(Mood::Hangs, ROUTES, |write| write.ack_timeout = Period::millis(200)).await;
    let full = write_house(Mood::Delivers, ROUTES, |_| ()).await;
    let _others = full.intake.budget().lease(64 * MIB - 20).unwrap();
    for house in [&late, &full] {
        let answer = house.write_two(&message()).await;
        assert_eq!((answer.status, written(&answer)), (503, [0, 0, 0]), "{answer:?}");
        assert!(answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
        assert_eq!(house.told(REMOTE_WRITE), [0, 1, 0, 0]);
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_for_good() {
    let house = write_house(Mood::Delivers, ROUTES, |_| ()).await;
    let good = pack(&message().encode_to_vec());
    let of_type = |text: &str| format!("content-encoding: snappy\r\ncontent-type: {text}");
    for (head, body, status) in [
        (of_type("application/json"), &good[..], 415),
        (of_type("application/x-protobuf;proto=io.prometheus.write.v3.Request"), &good, 415),
        (
            of_type("application/x-protobuf;proto=prometheus.WriteRequest;proto=prometheus.WriteRequest"),
            &good,
            415,
        ),
        (HEAD.replace("snappy", "gzip"), &good, 415),
        (HEAD.replace("snappy", "zstd"), &good, 415),
        (HEAD.replace("snappy", "snappy\r\ncontent-encoding: snappy"), &good, 415),
        (HEAD.to_owned(), b"", 400),
        (HEAD.to_owned(), b"0 is no snappy", 400),
        (HEAD.to_owned(), b"\xff\x06\x00\x00sNaPpY", 400),
        (HEAD.to_owned(), &pack(b"\x0a\x05cut"), 400),
        // Promises: 4 GiB - 1, and 1 MiB of nothing.
        (HEAD.to_owned(), b"\xff\xff\xff\xff\x0f\x00x", 413),
        (HEAD.to_owned(), b"\x80\x80\x40\x00x", 400),
    ] {
        let answer = house.write(&head, body).await;
        assert_eq!((answer.status, written(&answer)), (status, [0, 0, 0]), "{head}: {answer:?}");
        assert!(!answer.body.is_empty());
    }
    let address = house.started.address(REMOTE_WRITE).unwrap();
    for (call, status) in [("GET /api/v1/write", 405), ("POST /api/v1/read", 404)] {
        assert_eq!(once(address, call, "", b"").await.status, status, "{call}");
    }
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn without_a_route_for_metrics_nothing_is_here() {
    let routes = r#"[{"name":"all","to":["sink"],"index":"logs"}]"#;
    let house = write_house(Mood::Delivers, routes, |_| ()).await;
    let answer = house.write_two(&message()).await;
    assert_eq!((answer.status, written(&answer)), (404, [0, 0, 0]));
    assert!(String::from_utf8_lossy(&answer.body).contains("signals: [metrics]"), "{answer:?}");
}
