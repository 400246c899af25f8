//! The Beats port, byte by byte. That real clients agree is for the black-box tests.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An agent that says exactly what it is told to.
pub(super) struct Agent(TcpStream);

impl Agent {
    pub(super) async fn connect(house: &House) -> Self {
        Self(TcpStream::connect(house.started.address(BEATS).unwrap()).await.unwrap())
    }

    pub(super) async fn send(&mut self, frames: &[Vec<u8>]) {
        self.0.write_all(&frames.concat()).await.unwrap();
    }

    /// The sequence number of the next acknowledgement; `None` if the connection ends without one.
    pub(super) async fn acknowledged(&mut self) -> Option<u32> {
        let mut frame = [0; 6];
        self.0.read_exact(&mut frame).await.ok()?;
        assert_eq!(&frame[..2], b"2A");
        Some(u32::from_be_bytes(frame[2..].try_into().unwrap()))
    }
}

pub(super) fn window(events: u32) -> Vec<u8> {
    [b"2W", &events.to_be_bytes()[..]].concat()
}

pub(super) fn event(sequence: u32, document: &str) -> Vec<u8> {
    let len = document.len() as u32;
    [b"2J", &sequence.to_be_bytes()[..], &len.to_be_bytes(), document.as_bytes()].concat()
}

fn events(count: u32) -> Vec<u8> {
    (1..=count).flat_map(|number| event(number, &format!(r#"{{"message":"event {number}"}}"#))).collect()
}

fn compressed(frames: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(frames).unwrap();
    let packed = encoder.finish().unwrap();
    [b"2C", &(packed.len() as u32).to_be_bytes()[..], &packed].concat()
}

pub(super) async fn beats_house(mood: Mood, change: impl FnOnce(&mut BeatsConfig)) -> House {
    house_with(mood, 64 * MIB, |receivers| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut beats = BeatsConfig { listen, ..BeatsConfig::default() };
        change(&mut beats);
        receivers.beats = Some(beats);
    })
    .await
}

#[tokio::test]
async fn a_window_is_acknowledged_when_its_events_are_delivered() {
    let house = beats_house(Mood::Hangs, |_| ()).await;
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(3), compressed(&events(2)), event(3, "{}")]).await;
    let silence = timeout(Duration::from_millis(200), agent.acknowledged()).await;
    assert!(silence.is_err(), "acknowledged before anything was delivered");
    house.gate.add_permits(1);
    assert_eq!(agent.acknowledged().await, Some(3));
    eventually("the client is told", || house.told(BEATS) == [1, 0, 0, 0]).await;
    assert_eq!((house.door(BEATS).admitted(), house.settled(Outcome::Delivered)), (3, 3));
}

#[tokio::test]
async fn windows_in_flight_are_answered_in_order_and_an_empty_one_as_well() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(2), events(2), window(0), window(5), compressed(&events(5))]).await;
    for expected in [2, 0, 5] {
        assert_eq!(agent.acknowledged().await, Some(expected));
    }
    drop(agent);
    eventually("no slot is held", || house.started.connections().all(|all| all.open() <= 1)).await;
    assert_eq!(house.intake.budget().used(), 0);
}

#[tokio::test]
async fn a_long_window_is_acknowledged_piece_by_piece() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    let mut agent = Agent::connect(&house).await;
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(300 << 10));
    // The fifth is not sent yet, and four are acknowledged all the same.
    agent.send(&[window(5), event(1, &long), event(2, &long), event(3, &long), event(4, &long)]).await;
    assert_eq!(agent.acknowledged().await, Some(4));
    agent.send(&[event(5, "{}")]).await;
    assert_eq!(agent.acknowledged().await, Some(5));
}

#[tokio::test]
async fn an_event_that_is_no_json_is_counted_and_acknowledged_with_the_others() {
    let house = beats_house(Mood::Delivers, |beats| beats.max_request_bytes = ByteSize(1000)).await;
    let mut agent = Agent::connect(&house).await;
    let too_large = format!(r#"{{"message":"{}"}}"#, "x".repeat(2000));
    let sent = ["{\"a\":1}", "", "nonsense", "[1]", "{\"a\":\"x\ny\"}", "{\n\"a\":\n2}", &too_large];
    let frames: Vec<Vec<u8>> = sent.iter().zip(1..).map(|(text, number)| event(number, text)).collect();
    agent.send(&[vec![window(sent.len() as u32)], frames].concat()).await;
    assert_eq!(agent.acknowledged().await, Some(sent.len() as u32));
    let door = house.door(BEATS);
    assert_eq!((door.received(), door.admitted(), door.rejected()), (7, 2, 5));
}

#[tokio::test]
async fn what_is_no_lumberjack_ends_the_connection_and_nothing_else() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    let mut neighbour = Agent::connect(&house).await;
    neighbour.send(&[window(2), event(1, "{}")]).await;
    let bad = [
        ("an older version", vec![b"1W\0\0\0\x01".to_vec()]),
        ("TLS", vec![b"\x16\x03\x01\x02\0".to_vec()]),
        ("an unknown frame", vec![window(1), b"2X\0\0\0\x01".to_vec()]),
        ("events without a window", vec![event(1, "{}")]),
        ("a window inside a window", vec![window(1), window(1)]),
        ("compression inside compression", vec![window(1), compressed(&compressed(&events(1)))]),
        ("more events than were announced", vec![window(1), compressed(&events(2))]),
        ("no zlib", vec![window(1), b"2C\0\0\0\x04abcd".to_vec()]),
    ];
    let count = bad.len() as u64;
    for (what, frames) in bad {
        let mut agent = Agent::connect(&house).await;
        agent.send(&frames).await;
        assert_eq!(agent.acknowledged().await, None, "{what}");
    }
    eventually("each is counted", || house.told(BEATS) == [0, 0, count, 0]).await;
    assert_eq!(house.door(BEATS).unread(), count);
    neighbour.send(&[event(2, "{}")]).await;
    assert_eq!(neighbour.acknowledged().await, Some(2));
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn what_came_before_a_fault_is_still_acknowledged() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(2), events(2), window(1), b"garbage".to_vec()]).await;
    assert_eq!((agent.acknowledged().await, agent.acknowledged().await), (Some(2), None));
}

#[tokio::test]
async fn a_window_that_ends_early_is_taken_as_it_came() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(9), events(2), window(1), event(1, "{}")]).await;
    assert_eq!((agent.acknowledged().await, agent.acknowledged().await), (Some(2), Some(1)));
}

#[tokio::test]
async fn a_bomb_stays_within_the_budget() {
    let house = beats_house(Mood::Delivers, |beats| beats.max_request_bytes = ByteSize::mib(8)).await;
    let bomb = compressed(&vec![0; 200 * MIB]);
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(1), bomb]).await;
    assert_eq!(agent.acknowledged().await, None);
    assert_eq!(house.intake.budget().used(), 0);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_held_and_then_let_go() {
    let hold = Period::millis(300);
    let house = beats_house(Mood::Hangs, |beats| beats.hold_max = hold).await;
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(1), event(1, "{}")]).await;
    assert_eq!(agent.acknowledged().await, None);
    eventually("the client is told to try again", || house.told(BEATS) == [0, 1, 0, 0]).await;
}

#[tokio::test]
async fn a_window_that_stops_in_the_middle_is_given_up() {
    let patience = Period::millis(200);
    let house = beats_house(Mood::Delivers, |beats| beats.body_timeout = patience).await;
    for half in [b"2".to_vec(), event(1, "{}")[..7].to_vec(), event(1, "{\"a\":1}")[..12].to_vec()] {
        let mut agent = Agent::connect(&house).await;
        agent.send(&[window(2), half]).await;
        assert_eq!(agent.acknowledged().await, None);
    }
    eventually("they may try again", || house.told(BEATS) == [0, 3, 0, 0]).await;
}

#[tokio::test]
async fn the_drain_lets_a_window_end() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    let (mut idle, mut busy) = (Agent::connect(&house).await, Agent::connect(&house).await);
    idle.send(&[window(1), event(1, "{}")]).await;
    assert_eq!(idle.acknowledged().await, Some(1));
    busy.send(&[window(2), event(1, "{}")]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    house.shutdown.cancel();
    assert_eq!(idle.acknowledged().await, None);
    busy.send(&[event(2, "{}")]).await;
    assert_eq!((busy.acknowledged().await, busy.acknowledged().await), (Some(2), None));
    assert!(house.started.closed(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn after_a_reload_the_next_window_goes_the_new_way() {
    let house = beats_house(Mood::Delivers, |_| ()).await;
    let mut agent = Agent::connect(&house).await;
    agent.send(&[window(1), event(1, "{}")]).await;
    assert_eq!(agent.acknowledged().await, Some(1));
    let beats = Some(BeatsConfig::default());
    let config = Receivers { otlp: None, json: None, beats, ..Receivers::default() };
    house.started.adopt(&config, Acknowledge::default(), &house.intake, &house.ledger);
    agent.send(&[window(1), event(1, "{}")]).await;
    assert_eq!(agent.acknowledged().await, None);
    let mut again = Agent::connect(&house).await;
    again.send(&[window(1), event(1, "{}")]).await;
    assert_eq!(again.acknowledged().await, Some(1));
}
