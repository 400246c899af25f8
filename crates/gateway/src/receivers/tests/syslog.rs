//! Syslog over TCP and TLS, byte by byte. That real clients agree is for the black-box tests.

use super::certs::{Files, shake};
use super::*;
use crate::receivers::lines::StreamAcknowledge;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

async fn syslog_house(change: impl FnOnce(&mut SyslogConfig)) -> House {
    house_with(Mood::Delivers, 64 * MIB, |receivers| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut syslog = SyslogConfig { listen, batch_age: Period::millis(20), ..SyslogConfig::default() };
        change(&mut syslog);
        receivers.syslog = Some(syslog);
    })
    .await
}

async fn counted(house: &House, admitted: u64, unparsed: u64) {
    let counts = || (house.door(SYSLOG).admitted(), house.ledger.unparsed().load(Relaxed));
    eventually("all messages are counted", || counts() == (admitted, unparsed)).await;
    assert_eq!(house.door(SYSLOG).rejected(), 0);
    eventually("all are delivered", || house.settled(Outcome::Delivered) == admitted).await;
}

#[tokio::test]
async fn both_framings_may_be_mixed_and_cut_anywhere() {
    let house = syslog_house(|_| ()).await;
    let mut client = TcpStream::connect(house.started.address(SYSLOG).unwrap()).await.unwrap();
    let stream = b"<14>one\n27 <14>1 - h a - - - two\nlines<14>three\0\n8 <14>four12 o'clock\n<14>last";
    for piece in stream.chunks(5) {
        client.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(client);
    counted(&house, 6, 1).await;
}

#[tokio::test]
async fn of_a_long_message_the_beginning_is_kept() {
    let house = syslog_house(|syslog| syslog.max_message_bytes = ByteSize(100_000)).await;
    let mut client = TcpStream::connect(house.started.address(SYSLOG).unwrap()).await.unwrap();
    let long = format!("<14>{}", "x".repeat(3 * MIB));
    let counted_long = format!("{} {long}<14>b\n{long}\n<14>c\n", long.len());
    client.write_all(counted_long.as_bytes()).await.unwrap();
    counted(&house, 4, 0).await;
    eventually("nothing is held", || house.intake.budget().used() == 0).await;
}

#[tokio::test]
async fn a_message_that_is_cut_off_is_kept_as_far_as_it_came() {
    let house = syslog_house(|_| ()).await;
    for half in ["100 <14>half", "100", "<14>half"] {
        let mut client = TcpStream::connect(house.started.address(SYSLOG).unwrap()).await.unwrap();
        client.write_all(half.as_bytes()).await.unwrap();
        drop(client);
    }
    counted(&house, 3, 1).await;
}

#[tokio::test]
async fn over_tls_and_durable_only_where_there_is_a_journal() {
    let files = Files::new();
    let tls = files.settings();
    let house = syslog_house(|syslog| syslog.tls = Some(tls)).await;
    let address = house.started.address(SYSLOG).unwrap();
    let mut client = shake(address, files.trusting(None)).await.unwrap();
    client.write_all(b"8 <14>text8 <14>text").await.unwrap();
    client.flush().await.unwrap();
    counted(&house, 2, 0).await;
    let config = SyslogConfig { acknowledge: StreamAcknowledge::Durable, ..SyslogConfig::default() };
    let receivers = Receivers { syslog: Some(config), ..Receivers::default() };
    assert_eq!(receivers.durable(Acknowledge::Delivered), [Some("syslog.acknowledge")]);
}
