//! The port of Fluent Forward, byte by byte. That real clients agree is for the black-box tests.

use super::raw::Socket;
use super::*;
use rmpv::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A client that says exactly what it is told to.
pub struct Client(Box<dyn Socket>);

impl Client {
    pub async fn connect(house: &House) -> Self {
        Self::over(TcpStream::connect(house.started.address(FORWARD).unwrap()).await.unwrap())
    }

    pub fn over(socket: impl Socket + 'static) -> Self {
        Self(Box::new(socket))
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next value that the server says; `None` if the connection ends without one.
    pub async fn hears(&mut self) -> Option<Value> {
        let mut bytes = Vec::new();
        loop {
            bytes.push(self.0.read_u8().await.ok()?);
            if let Ok(value) = rmpv::decode::read_value(&mut &bytes[..]) {
                return Some(value);
            }
        }
    }

    /// What the next acknowledgement names; `None` if the connection ends without one.
    async fn acknowledged(&mut self) -> Option<Value> {
        let ack = self.hears().await?;
        assert_eq!(ack["ack"].clone(), ack.as_map().unwrap()[0].1);
        Some(ack["ack"].clone())
    }
}

pub fn packed(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).unwrap();
    out
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(pairs.map(|(key, value)| (key.into(), value)).to_vec())
}

fn entry(text: &str) -> Value {
    Value::Array(vec![1_795_249_564.into(), map([("message", text.into())])])
}

fn entries(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| packed(&entry(&format!("event {number}")))).collect()
}

fn chunk(name: &str) -> Value {
    map([("size", 1.into()), ("chunk", name.into())])
}

fn message(parts: Vec<Value>) -> Vec<u8> {
    packed(&Value::Array([vec!["app.web".into()], parts].concat()))
}

/// One event, by PackedForward, whose chunk has this name.
pub fn one(name: &str) -> Vec<u8> {
    message(vec![Value::Binary(entries(1)), chunk(name)])
}

fn compressed(how: &str, bytes: Vec<u8>, name: &str) -> Vec<u8> {
    message(vec![Value::Binary(bytes), map([("compressed", how.into()), ("chunk", name.into())])])
}

pub async fn forward_house(mood: Mood, budget: usize, change: impl FnOnce(&mut ForwardConfig)) -> House {
    house_with(mood, budget, |receivers| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut forward = ForwardConfig { listen, ..ForwardConfig::default() };
        change(&mut forward);
        receivers.forward = Some(forward);
    })
    .await
}

#[tokio::test]
async fn a_chunk_is_acknowledged_when_its_events_are_delivered() {
    let house = forward_house(Mood::Hangs, 64 * MIB, |_| ()).await;
    let mut client = Client::connect(&house).await;
    client.send(&message(vec![Value::Binary(entries(3)), chunk("p8n9gmxTQVC8/nh2wlKKeQ==\n")])).await;
    let silence = timeout(Duration::from_millis(200), client.hears()).await;
    assert!(silence.is_err(), "acknowledged before anything was delivered");
    house.gate.add_permits(1);
    assert_eq!(client.acknowledged().await, Some("p8n9gmxTQVC8/nh2wlKKeQ==\n".into()));
    eventually("the client is told", || house.told(FORWARD) == [1, 0, 0, 0]).await;
    assert_eq!((house.door(FORWARD).admitted(), house.settled(Outcome::Delivered)), (3, 3));
}

/// Every mode, one after the other on one connection, with heartbeats between them.
#[tokio::test]
async fn all_modes_are_taken_and_answered_in_order() {
    let house = forward_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = Client::connect(&house).await;
    let text = String::from_utf8_lossy(&entries(0)).into_owned();
    let members = [gzip(&entries(2)), gzip(&entries(1))].concat();
    let frames = [entries(1), entries(3)].map(|part| zstd::bulk::compress(&part, 1).unwrap()).concat();
    let event_time = Value::Ext(0, vec![0x6b, 0x01, 0x52, 0xdc, 0, 0, 0, 1]);
    let with_metadata = Value::Array(vec![Value::Array(vec![event_time, map([])]), map([])]);
    let all = [
        (1, message(vec![1_795_249_564.into(), map([("a", 1.into())]), chunk("message")])),
        (2, message(vec![Value::Array(vec![entry("a"), with_metadata]), chunk("forward")])),
        (5, message(vec![Value::Binary(entries(5)), chunk("packed")])),
        (0, message(vec![text.into(), chunk("an old client's string")])),
        (3, compressed("gzip", members, "gzip")),
        (4, compressed("zstd", frames, "zstd")),
        (1, compressed("text", entries(1), "text")),
        (0, message(vec![Value::Array(vec![]), chunk("nothing")])),
        (0, message(vec![Value::Binary(gzip(b"")), map([("chunk", Value::Binary(vec![0xff]))])])),
    ];
    let bytes: Vec<u8> = all.iter().flat_map(|(_, bytes)| [bytes, &[0xc0][..]].concat()).collect();
    // In pieces, so that nothing comes where it would be convenient.
    for piece in bytes.chunks(7) {
        client.send(piece).await;
    }
    for name in ["message", "forward", "packed", "an old client's string", "gzip", "zstd", "text", "nothing"]
    {
        assert_eq!(client.acknowledged().await, Some(name.into()));
    }
    assert_eq!(client.acknowledged().await, Some(Value::Binary(vec![0xff])));
    drop(client);
    let count: u64 = all.iter().map(|(count, _)| count).sum();
    eventually("all are delivered", || house.settled(Outcome::Delivered) == count).await;
    eventually("no slot is held", || house.started.connections().all(|all| all.open() <= 1)).await;
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn what_has_no_name_is_taken_without_a_word() {
    let house = forward_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = Client::connect(&house).await;
    client.send(&message(vec![Value::Binary(entries(2))])).await;
    client.send(&message(vec![1.into(), map([])])).await;
    client.send(&message(vec![Value::Array(vec![entry("a")]), map([("size", 1.into())])])).await;
    client.send(&one("last")).await;
    assert_eq!(client.acknowledged().await, Some("last".into()));
    assert_eq!((house.door(FORWARD).admitted(), house.told(FORWARD)), (5, [4, 0, 0, 0]));
}

/// Loggers send every event in a message of its own: what is here at once becomes one body, up to the next tag or the next name.
#[tokio::test]
async fn events_that_come_one_by_one_are_taken_together() {
    let house = forward_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = Client::connect(&house).await;
    let event = |number: i64| vec![Value::from(number), map([])];
    let plain = message(event(1));
    let with_nil = message([event(2), vec![Value::Nil]].concat());
    let other_tag = packed(&Value::Array([vec!["other".into()], event(3)].concat()));
    let named = message([event(4), vec![chunk("named")]].concat());
    let all = [&plain, &with_nil, &plain, &other_tag, &plain, &named].map(|part| part.repeat(1));
    client.send(&[all.concat(), plain[..plain.len() - 1].to_vec()].concat()).await;
    assert_eq!(client.acknowledged().await, Some("named".into()));
    assert_eq!((house.door(FORWARD).admitted(), house.told(FORWARD)), (6, [4, 0, 0, 0]));
    client.send(&plain[plain.len() - 1..]).await;
    eventually("the last is here too", || house.door(FORWARD).admitted() == 7).await;
}

#[tokio::test]
async fn a_bad_event_is_counted_and_its_chunk_acknowledged() {
    let house = forward_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = Client::connect(&house).await;
    let deep = [&b"\x92\x01\x81\xa1a"[..], &[0x91; 100_000], b"\xc0"].concat();
    let bad = [
        entries(1),
        b"\x92\xc2\x80".to_vec(),
        packed(&"no entry".into()),
        deep,
        entries(1),
        b"\x92\x01".to_vec(),
    ];
    client.send(&message(vec![Value::Binary(bad.concat()), chunk("bad")])).await;
    assert_eq!(client.acknowledged().await, Some("bad".into()));
    let door = house.door(FORWARD);
    assert_eq!((door.received(), door.admitted(), door.rejected()), (6, 2, 4));
}

#[tokio::test]
async fn what_is_no_forward_ends_the_connection_and_nothing_else() {
    let house =
        forward_house(Mood::Delivers, 64 * MIB, |forward| forward.max_request_bytes = ByteSize::mib(1)).await;
    let mut neighbour = Client::connect(&house).await;
    neighbour.send(&one("neighbour")[..20]).await;
    let options = |pairs| message(vec![Value::Binary(entries(1)), pairs]);
    let bad: [(&str, Vec<u8>); 22] = [
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\0".to_vec()),
        ("JSON", b"[\"app\",1,{}]\n".to_vec()),
        ("a map", packed(&map([]))),
        ("a number", vec![7]),
        ("no value", vec![0xc1]),
        ("a tag alone", packed(&Value::Array(vec!["app".into()]))),
        ("a tag that is none", packed(&Value::Array(vec![1.into(), 1.into(), map([])]))),
        (
            "a tag that is no text",
            packed(&Value::Array(vec![Value::Binary(vec![0xff]), Value::Binary(entries(1))])),
        ),
        ("a long tag", packed(&Value::Array(vec!["x".repeat(5000).into(), Value::Binary(entries(1))]))),
        ("five elements", message(vec![1.into(), map([]), map([]), map([])])),
        ("options that are none", options(7.into())),
        ("long options", options(map([("x", "y".repeat(20_000).into())]))),
        ("a chunk that is no text", options(map([("chunk", 7.into())]))),
        ("a chunk with a long name", options(map([("chunk", "x".repeat(600).into())]))),
        ("lz4", compressed("lz4", entries(1), "a")),
        ("no gzip", compressed("gzip", entries(1), "a")),
        ("no zstd", compressed("zstd", entries(1), "a")),
        ("metrics", options(map([("fluent_signal", 1.into()), ("chunk", "a".into())]))),
        ("too large", message(vec![Value::Binary(vec![0xc0; 2 * MIB]), chunk("a")])),
        ("four billion entries", b"\x92\xa1t\xdd\xff\xff\xff\xff".to_vec()),
        ("four billion bytes", b"\x92\xa1t\xdb\xff\xff\xff\xff".to_vec()),
    ];
    let count = bad.len() as u64;
    for (what, bytes) in bad {
        let mut client = Client::connect(&house).await;
        let _ = client.0.write_all(&bytes).await;
        let ends = timeout(Duration::from_secs(5), client.hears()).await;
        assert_eq!(ends.expect(what), None, "{what}");
    }
    eventually("each is counted", || house.told(FORWARD) == [0, 0, count, 0]).await;
    assert_eq!(house.door(FORWARD).unread(), count);
    neighbour.send(&one("neighbour")[20..]).await;
    assert_eq!(neighbour.acknowledged().await, Some("neighbour".into()));
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

/// Values inside of entries that promise more than may come are refused at once, and what has come is not kept.
#[tokio::test]
async fn promises_that_cannot_be_kept_are_refused_before_they_are_waited_for() {
    let house = forward_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    for lie in [
        &b"\xdf\xff\xff\xff\xff"[..],
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ] {
        let mut client = Client::connect(&house).await;
        client.send(&[&b"\x93\xa1t\x01\x81\xa1a"[..], lie].concat()).await;
        assert_eq!(timeout(Duration::from_secs(5), client.hears()).await.unwrap(), None);
    }
    eventually("they are counted", || house.told(FORWARD) == [0, 0, 4, 0]).await;
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn bombs_stay_within_the_budget() {
    let house =
        forward_house(Mood::Delivers, 64 * MIB, |forward| forward.max_request_bytes = ByteSize::mib(8)).await;
    let zeros = vec![0; 200 * MIB];
    for (how, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd::bulk::compress(&zeros, 1).unwrap())] {
        let mut client = Client::connect(&house).await;
        client.send(&compressed(how, bomb, "bomb")).await;
        assert_eq!(client.acknowledged().await, None);
    }
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
    assert_eq!(house.told(FORWARD), [0, 0, 2, 0]);
}

#[tokio::test]
async fn what_came_before_a_fault_is_still_acknowledged() {
    let house = forward_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = Client::connect(&house).await;
    client.send(&[&one("good")[..], b"garbage"].concat()).await;
    assert_eq!((client.acknowledged().await, client.acknowledged().await), (Some("good".into()), None));
}

#[tokio::test]
async fn a_message_that_stops_in_the_middle_is_given_up() {
    let patience = Period::millis(200);
    let house = forward_house(Mood::Delivers, 64 * MIB, |forward| forward.body_timeout = patience).await;
    let whole = one("whole");
    let listed = message(vec![Value::Array(vec![entry("a"), entry("b")])]);
    let halves =
        [&whole[..1], &whole[..5], &whole[..20], &whole[..whole.len() - 1], &listed[..listed.len() - 3]];
    for half in halves {
        let mut client = Client::connect(&house).await;
        client.send(half).await;
        assert_eq!(client.acknowledged().await, None);
    }
    eventually("they may try again", || house.told(FORWARD) == [0, halves.len() as u64, 0, 0]).await;
    let mut client = Client::connect(&house).await;
    client.send(&whole[..9]).await;
    drop(client);
    eventually("one has gone", || house.told(FORWARD)[3] == 1).await;
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn what_cannot_be_delivered_is_held_and_then_let_go() {
    let hold = Period::millis(300);
    let house = forward_house(Mood::Hangs, 64 * MIB, |forward| forward.hold_max = hold).await;
    let mut client = Client::connect(&house).await;
    client.send(&one("held")).await;
    assert_eq!(client.acknowledged().await, None);
    eventually("the client is told to try again", || house.told(FORWARD) == [0, 1, 0, 0]).await;
}

/// A sink that is stuck for longer than anything is held must not cost events that nobody would send again.
#[tokio::test]
async fn what_has_no_name_is_held_for_as_long_as_it_takes() {
    let hold = Period::millis(200);
    let house = forward_house(Mood::Hangs, 64 * MIB, |forward| forward.hold_max = hold).await;
    let mut client = Client::connect(&house).await;
    client.send(&message(vec![Value::Binary(entries(3))])).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((house.door(FORWARD).admitted(), house.told(FORWARD)), (3, [0; 4]));
    house.gate.add_permits(1);
    eventually("they are delivered", || house.settled(Outcome::Delivered) == 3).await;
}

/// Many times what there is memory for, from a client that would send none of it again, before a sink that is stuck.
#[tokio::test]
async fn a_client_that_asks_for_nothing_waits_and_loses_nothing() {
    let house = forward_house(Mood::Hangs, 8 * MIB, |_| ()).await;
    let mut client = Client::connect(&house).await;
    let long = message(vec![Value::Array(vec![entry(&"x".repeat(MIB))])]);
    let sending = forebay_pipeline::task::spawn("client", async move {
        for _ in 0..40 {
            client.send(&long).await;
        }
        client
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(house.door(FORWARD).received() < 10, "{}", house.door(FORWARD).received());
    house.gate.add_permits(1000);
    let _client = sending.await.unwrap();
    eventually("all are delivered", || house.settled(Outcome::Delivered) == 40).await;
}

#[tokio::test]
async fn the_drain_answers_what_has_come() {
    let house = forward_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let (mut idle, mut busy) = (Client::connect(&house).await, Client::connect(&house).await);
    idle.send(&one("idle")).await;
    assert_eq!(idle.acknowledged().await, Some("idle".into()));
    let whole = one("busy");
    busy.send(&whole[..30]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    house.shutdown.cancel();
    assert_eq!(idle.acknowledged().await, None);
    busy.send(&whole[30..]).await;
    assert_eq!((busy.acknowledged().await, busy.acknowledged().await), (Some("busy".into()), None));
    assert!(house.started.closed(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_reload_cuts_nobody_off() {
    let house = forward_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = Client::connect(&house).await;
    client.send(&one("before")).await;
    assert_eq!(client.acknowledged().await, Some("before".into()));
    let forward = Some(ForwardConfig { max_request_bytes: ByteSize(100), ..ForwardConfig::default() });
    let config = Receivers { otlp: None, json: None, forward, ..Receivers::default() };
    house.started.adopt(&config, Acknowledge::default(), &house.intake, &house.ledger);
    client.send(&one("after")).await;
    assert_eq!(client.acknowledged().await, Some("after".into()));
    client.send(&message(vec![Value::Binary(entries(10)), chunk("over the new limit")])).await;
    assert_eq!(client.acknowledged().await, None);
}

#[tokio::test]
async fn a_connection_of_age_ends_between_two_messages() {
    let age = Period::millis(300);
    let house = forward_house(Mood::Delivers, 64 * MIB, |forward| forward.connections.max_age = age).await;
    let (mut asking, mut silent) = (Client::connect(&house).await, Client::connect(&house).await);
    asking.send(&one("asking")).await;
    silent.send(&message(vec![Value::Binary(entries(1))])).await;
    assert_eq!((asking.acknowledged().await, asking.acknowledged().await), (Some("asking".into()), None));
    assert_eq!(silent.acknowledged().await, None);
    assert_eq!(house.door(FORWARD).admitted(), 2);
}
