//! JSON lines over TCP, byte by byte. That real clients agree is for the black-box tests.

use super::certs::{Files, shake};
use super::*;
use crate::receivers::lines::StreamAcknowledge;
use crate::receivers::tls::config::ClientAuth;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn tcp_house(mood: Mood, budget: usize, change: impl FnOnce(&mut TcpConfig)) -> House {
    house_with(mood, budget, |receivers| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut tcp = TcpConfig { listen, batch_age: Period::millis(20), ..TcpConfig::default() };
        change(&mut tcp);
        receivers.tcp = Some(tcp);
    })
    .await
}

async fn connect(house: &House) -> TcpStream {
    TcpStream::connect(house.started.address(TCP).unwrap()).await.unwrap()
}

/// Admitted and rejected records.
fn counts(house: &House) -> (u64, u64) {
    (house.door(TCP).admitted(), house.door(TCP).rejected())
}

async fn counted(house: &House, admitted: u64, rejected: u64) {
    eventually("all lines are counted", || counts(house) == (admitted, rejected)).await;
}

/// Waits for the end of the stream from the other side.
async fn ended(client: &mut TcpStream) {
    let mut nothing = [0; 1];
    assert_eq!(timeout(Duration::from_secs(10), client.read(&mut nothing)).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn each_line_is_a_record_and_a_bad_one_costs_itself_alone() {
    let house = tcp_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = connect(&house).await;
    let lines =
        b"{\"a\":1}\n\r\n{\"a\":2}\r\nnonsense\n[1]\n{\"a\":1,\"a\":2}\n{\"a\":\"\xff\"}\n{\"a\":3}\n";
    // Cut anywhere, they are the same lines.
    for piece in lines.chunks(7) {
        client.write_all(piece).await.unwrap();
        client.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    counted(&house, 3, 4).await;
    eventually("all are delivered", || house.settled(Outcome::Delivered) == 3).await;
    assert_eq!(house.door(TCP).bytes(), lines.len() as u64);
    assert!(house.door(TCP).balances());
}

#[tokio::test]
async fn the_last_line_needs_no_end_but_must_be_whole() {
    let house = tcp_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    for last in ["{\"a\":1}", "{\"a\":"] {
        let mut client = connect(&house).await;
        client.write_all(format!("{{}}\n{last}").as_bytes()).await.unwrap();
        drop(client);
    }
    counted(&house, 3, 1).await;
    eventually("no slot is held", || house.started.connections().all(|all| all.open() <= 1)).await;
    assert_eq!(house.intake.budget().used(), 0);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
    let house = tcp_house(Mood::Delivers, 64 * MIB, |tcp| tcp.max_line_bytes = ByteSize(200_000)).await;
    let mut client = connect(&house).await;
    let line = |len: usize| format!("{{\"a\":\"{}\"}}\n", "x".repeat(len - 8));
    // The limit itself, one byte more, and more than the buffer holds.
    for len in [200_000, 200_001, 5 * MIB, 100] {
        client.write_all(line(len).as_bytes()).await.unwrap();
    }
    counted(&house, 2, 2).await;
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn small_lines_are_gathered() {
    let house = tcp_house(Mood::Delivers, 64 * MIB, |tcp| tcp.batch_age = Period::secs(1)).await;
    let mut client = connect(&house).await;
    for _ in 0..50 {
        client.write_all(b"{}\n{}\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    counted(&house, 100, 0).await;
    eventually("the body is settled", || house.told(TCP)[0] > 0).await;
    assert_eq!(house.told(TCP), [1, 0, 0, 0], "one body");
}

#[tokio::test]
async fn what_finds_no_room_is_not_read_and_not_lost() {
    let house = tcp_house(Mood::Hangs, 4 * MIB, |_| ()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connect(&house).await);
    }
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1_000));
    let lines = line.repeat(20_000);
    let sending = async {
        let sent = clients.iter_mut().map(|client| client.write_all(lines.as_bytes()));
        futures_util::future::try_join_all(sent).await.unwrap();
        drop(clients);
    };
    tokio::pin!(sending);
    assert!(timeout(Duration::from_secs(1), &mut sending).await.is_err(), "60 MB fit into 4 MiB");
    assert!(house.intake.budget().used() <= 4 * MIB, "{}", house.intake.budget().used());
    house.gate.add_permits(1_000_000);
    sending.await;
    eventually("all are delivered", || house.settled(Outcome::Delivered) == 60_000).await;
    assert_eq!((counts(&house), house.settled(Outcome::Abandoned)), ((60_000, 0), 0));
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
    assert!(house.door(TCP).balances());
}

#[tokio::test]
async fn with_delivered_a_connection_is_read_on_when_all_was_delivered() {
    let house = tcp_house(Mood::Hangs, 64 * MIB, |tcp| tcp.acknowledge = StreamAcknowledge::Delivered).await;
    let mut client = connect(&house).await;
    client.write_all(b"{}\n").await.unwrap();
    counted(&house, 1, 0).await;
    client.write_all(b"{}\n{}\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(counts(&house), (1, 0));
    house.gate.add_permits(10);
    counted(&house, 3, 0).await;
}

#[tokio::test]
async fn a_client_that_is_told_to_go_is_heard_out() {
    let house =
        tcp_house(Mood::Delivers, 64 * MIB, |tcp| tcp.connections.max_age = Period::millis(100)).await;
    let mut client = connect(&house).await;
    client.write_all(b"{}\n{\"a\":").await.unwrap();
    ended(&mut client).await;
    client.write_all(b"1}\n{}\n").await.unwrap();
    counted(&house, 3, 0).await;
    // One that does not notice is let go after a while.
    let mut deaf = connect(&house).await;
    deaf.write_all(b"{}\n").await.unwrap();
    eventually("the slots are free", || house.started.connections().all(|all| all.open() <= 1)).await;
    counted(&house, 4, 0).await;
}

#[tokio::test]
async fn the_drain_ends_a_connection_when_its_client_has_heard_it() {
    let house = tcp_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = connect(&house).await;
    client.write_all(b"{}\n").await.unwrap();
    counted(&house, 1, 0).await;
    house.shutdown.cancel();
    ended(&mut client).await;
    client.write_all(b"{}\n{\"a\":1}").await.unwrap();
    drop(client);
    assert!(house.started.closed(Duration::from_secs(5)).await);
    assert_eq!((counts(&house), house.settled(Outcome::Delivered)), ((3, 0), 3));
}

#[tokio::test]
async fn the_drain_gives_up_what_cannot_be_delivered() {
    let house = tcp_house(Mood::Hangs, 64 * MIB, |_| ()).await;
    let mut client = connect(&house).await;
    client.write_all(b"{}\n").await.unwrap();
    counted(&house, 1, 0).await;
    house.shutdown.cancel();
    assert!(!house.started.closed(Duration::from_millis(200)).await);
    assert_eq!(house.told(TCP), [0, 1, 0, 0], "counted as not delivered");
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_its_half_line_counted() {
    let silence = Period::millis(200);
    let house = tcp_house(Mood::Delivers, 64 * MIB, |tcp| tcp.connections.idle_timeout = silence).await;
    let mut client = connect(&house).await;
    client.write_all(b"{}\n{\"a\":").await.unwrap();
    ended(&mut client).await;
    counted(&house, 1, 1).await;
}

#[tokio::test]
async fn a_reload_counts_for_the_next_line() {
    let house = tcp_house(Mood::Delivers, 64 * MIB, |_| ()).await;
    let mut client = connect(&house).await;
    client.write_all(b"{\"a\":\"0123456789\"}\n").await.unwrap();
    counted(&house, 1, 0).await;
    let tcp = Some(TcpConfig { max_line_bytes: ByteSize(10), ..TcpConfig::default() });
    let config = Receivers { tcp, ..Receivers::default() };
    house.started.adopt(&config, Acknowledge::default(), &house.intake, &house.ledger);
    client.write_all(b"{}\n{\"a\":\"0123456789\"}\n").await.unwrap();
    counted(&house, 2, 1).await;
}

#[tokio::test]
async fn over_tls_only_clients_with_a_certificate_are_heard() {
    let files = Files::new();
    let tls = files.mutual(ClientAuth::Required);
    let age = Period::millis(100);
    let house = tcp_house(Mood::Delivers, 64 * MIB, |tcp| {
        tcp.tls = Some(tls);
        tcp.connections.max_age = age;
    })
    .await;
    let address = house.started.address(TCP).unwrap();
    if let Ok(mut stranger) = shake(address, files.trusting(None)).await {
        // In TLS 1.3 the client's part comes last.
        let _ = stranger.write_all(b"{}\n").await;
        let _ = stranger.read(&mut [0; 1]).await;
    }
    let friend = files.authority.client("friend");
    let mut friend = shake(address, files.trusting(Some(&friend))).await.unwrap();
    friend.write_all(b"{}\n").await.unwrap();
    assert_eq!(timeout(Duration::from_secs(10), friend.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
    friend.write_all(b"{}\n").await.unwrap();
    friend.flush().await.unwrap();
    counted(&house, 2, 0).await;
}

#[test]
fn settings_that_cannot_be_right_are_named() {
    let config: Receivers = serde_json::from_str(
        r#"{"tcp":{"max_line_bytes":"2GiB","batch_bytes":0,"timezone":"Mars/Olympus","connections":{"max":5}}}"#,
    )
    .unwrap();
    let paths: Vec<String> = config.faults().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["tcp.max_line_bytes", "tcp.batch_bytes", "tcp.timezone"]);
    let connections = config.tcp.unwrap().connections;
    assert_eq!((connections.max, connections.idle_timeout), (5, Period::secs(3_600)));
}
