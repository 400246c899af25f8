//! TLS at each receiver's port: who is let in, who is not, and that it is counted.

use super::certs::{Authority, Files, Pair, serial, shake};
use super::raw::Wire;
use super::*;
use crate::receivers::tls::Tls;
use crate::receivers::tls::config::{ClientAuth, MinVersion, TlsConfig};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint as Address};

/// A house all of whose receivers have this TLS.
async fn tls_house(mood: Mood, tls: &TlsConfig) -> House {
    house_with(mood, 64 * MIB, |config| {
        let otlp = config.otlp.as_mut().unwrap();
        otlp.grpc.as_mut().unwrap().tls = Some(tls.clone());
        otlp.http.as_mut().unwrap().tls = Some(tls.clone());
        config.json.as_mut().unwrap().tls = Some(tls.clone());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.beats = Some(BeatsConfig { listen, tls: Some(tls.clone()), ..BeatsConfig::default() });
    })
    .await
}

impl House {
    fn tls(&self, receiver: &str) -> Arc<Tls> {
        let mut all = self.started.connections();
        let connections = all.find(|connections| connections.receiver == receiver).unwrap();
        Arc::clone(connections.tls.as_ref().unwrap())
    }

    fn failures(&self, receiver: &str, reason: &str) -> u64 {
        self.tls(receiver).failures().find(|(name, _)| *name == reason).unwrap().1
    }

    /// All four ports, by receiver.
    fn ports(&self) -> [(&'static str, SocketAddr); 4] {
        let beats = self.started.address(BEATS).unwrap();
        [(OTLP_GRPC, self.grpc()), (OTLP_HTTP, self.http()), (JSON, self.json()), (BEATS, beats)]
    }
}

async fn channel(address: SocketAddr, client: ClientConfig) -> Channel {
    let connect = move |_| {
        let mut client = client.clone();
        client.alpn_protocols = vec![b"h2".to_vec()];
        async move { Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(shake(address, client).await?)) }
    };
    let address = Address::from_shared(format!("http://{address}")).unwrap();
    address.connect_with_connector(tower::service_fn(connect)).await.unwrap()
}

async fn post(address: SocketAddr, client: ClientConfig) -> std::io::Result<u16> {
    let mut wire = Wire::over(shake(address, client).await?);
    Ok(wire.request("POST /", "", b"{}").await.status)
}

/// Whether a request is answered. With TLS 1.3 a client learns only after its own part of the handshake that it is refused.
async fn is_let_in(address: SocketAddr, client: ClientConfig) -> bool {
    let Ok(mut stream) = shake(address, client).await else { return false };
    if stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await.is_err() {
        return false;
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.is_ok_and(|_| &answer == b"HTTP/1.1 200")
}

#[tokio::test]
async fn every_receiver_serves_over_both_versions() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.settings()).await;
    for version in [&TLS12, &TLS13] {
        let mut grpc = LogsServiceClient::new(channel(house.grpc(), files.speaking(version)).await);
        grpc.export(logs(5)).await.unwrap();
        assert_eq!(post(house.json(), files.speaking(version)).await.unwrap(), 200);
        let mut http = Wire::over(shake(house.http(), files.speaking(version)).await.unwrap());
        let headers = "content-type: application/x-protobuf\r\n";
        assert_eq!(http.request("POST /v1/logs", headers, &logs(2).encode_to_vec()).await.status, 200);
        let mut beats = shake(house.started.address(BEATS).unwrap(), files.speaking(version)).await.unwrap();
        assert_eq!(beats.get_ref().1.protocol_version(), Some(version.version));
        beats.write_all(b"2W\0\0\0\x012J\0\0\0\x01\0\0\0\x02{}").await.unwrap();
        let mut acknowledged = [0; 6];
        beats.read_exact(&mut acknowledged).await.unwrap();
        assert_eq!(&acknowledged, b"2A\0\0\0\x01");
    }
    assert_eq!(house.settled(Outcome::Delivered), 2 * (5 + 1 + 2 + 1));
    for (receiver, _) in house.ports() {
        assert_eq!(house.tls(receiver).done(), 2, "{receiver}");
        assert_eq!(house.tls(receiver).failures().map(|(_, count)| count).sum::<u64>(), 0, "{receiver}");
    }
}

#[tokio::test]
async fn the_protocol_inside_is_agreed_on_as_the_receiver_serves() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.settings()).await;
    let agreed = async |address, offered: &[&[u8]]| {
        let mut client = files.trusting(None);
        client.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        let stream = shake(address, client).await?;
        Ok::<_, std::io::Error>(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    };
    let both: &[&[u8]] = &[b"http/1.1", b"h2"];
    assert_eq!(agreed(house.json(), both).await.unwrap(), Some(b"h2".to_vec()));
    assert_eq!(agreed(house.http(), &both[..1]).await.unwrap(), Some(b"http/1.1".to_vec()));
    assert_eq!(agreed(house.grpc(), both).await.unwrap(), Some(b"h2".to_vec()));
    assert_eq!(agreed(house.started.address(BEATS).unwrap(), both).await.unwrap(), None);
    agreed(house.grpc(), &both[..1]).await.unwrap_err();
    eventually("it is counted", || house.failures(OTLP_GRPC, "incompatible") == 1).await;
}

#[tokio::test]
async fn plaintext_and_old_versions_are_turned_away_and_counted() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.settings()).await;
    for (receiver, address) in house.ports() {
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"HTTP") && answer.len() <= 7, "{receiver}: {answer:?}");
        eventually("it is counted", || house.failures(receiver, "plaintext") == 1).await;

        let mut old = TcpStream::connect(address).await.unwrap();
        old.write_all(&client_hello([3, 2])).await.unwrap();
        let mut alert = [0; 7];
        old.read_exact(&mut alert).await.unwrap();
        // RFC 8446, 6: a fatal alert, protocol_version.
        assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]), "{receiver}");
        eventually("it is counted", || house.failures(receiver, "version") == 1).await;
        assert_eq!(house.told(receiver), [0; 4]);
    }
    eventually("no slot is held", || house.started.connections().all(|all| all.open() <= 1)).await;
}

/// The first message of a client that speaks this version and no later one (RFC 5246, 7.4.1.2).
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let suites_and_compression = [0, 2, 0xc0, 0x2f, 1, 0];
    let signature_algorithms = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
    let hello = [&version[..], &[7; 32], &[0], &suites_and_compression, &signature_algorithms].concat();
    let handshake = [&[1, 0, 0, hello.len() as u8], &hello[..]].concat();
    [&[22, 3, 1, 0, handshake.len() as u8], &handshake[..]].concat()
}

#[tokio::test]
async fn the_older_version_can_be_shut_out() {
    let files = Files::new();
    let tls = TlsConfig { min_version: MinVersion::Tls13, ..files.settings() };
    let house = tls_house(Mood::Delivers, &tls).await;
    post(house.json(), files.speaking(&TLS12)).await.unwrap_err();
    assert_eq!(post(house.json(), files.speaking(&TLS13)).await.unwrap(), 200);
    assert_eq!(house.failures(JSON, "version"), 1);
}

#[tokio::test]
async fn where_certificates_are_required_only_those_of_the_authority_get_in() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.mutual(ClientAuth::Required)).await;
    let stranger = Authority::new().client("stranger");
    let friend = files.authority.client("friend");
    let json = house.json();
    assert!(!is_let_in(json, files.trusting(None)).await);
    eventually("no certificate", || house.failures(JSON, "no_certificate") == 1).await;
    assert!(!is_let_in(json, files.trusting(Some(&stranger))).await);
    eventually("another authority", || house.failures(JSON, "bad_certificate") == 1).await;
    assert_eq!((house.told(JSON), house.tls(JSON).done()), ([0; 4], 0));
    assert!(is_let_in(json, files.trusting(Some(&friend))).await);
    assert_eq!(house.told(JSON), [1, 0, 0, 0]);
}

#[tokio::test]
async fn where_certificates_are_optional_a_wrong_one_is_worse_than_none() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.mutual(ClientAuth::Optional)).await;
    let stranger = Authority::new().client("stranger");
    assert!(is_let_in(house.json(), files.trusting(None)).await);
    assert!(is_let_in(house.json(), files.trusting(Some(&files.authority.client("friend")))).await);
    assert!(!is_let_in(house.json(), files.trusting(Some(&stranger))).await);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_server_is_counted() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.settings()).await;
    shake(house.json(), Files::new().trusting(None)).await.unwrap_err();
    eventually("it is counted", || house.failures(JSON, "alert") == 1).await;
}

#[tokio::test]
async fn a_handshake_that_stops_is_given_up_and_holds_a_slot_until_then() {
    let files = Files::new();
    let tls = TlsConfig { handshake_timeout: Period::millis(300), ..files.settings() };
    let house = tls_house(Mood::Delivers, &tls).await;
    let mut half = TcpStream::connect(house.grpc()).await.unwrap();
    half.write_all(&client_hello([3, 3])[..20]).await.unwrap();
    let open = || house.started.connections().next().unwrap().open();
    eventually("the handshake counts as a connection", || open() == 2).await;
    assert_eq!(half.read(&mut [0]).await.unwrap_or(0), 0);
    eventually("it is counted", || house.failures(OTLP_GRPC, "timeout") == 1).await;
    eventually("the slot is free", || open() == 1).await;
}

/// With HTTP/2 nobody else would miss it.
#[tokio::test]
async fn silence_after_the_handshake_does_not_hold_a_slot() {
    let files = Files::new();
    let house = house_with(Mood::Delivers, MIB, |config| {
        let grpc = config.otlp.as_mut().unwrap().grpc.as_mut().unwrap();
        grpc.tls = Some(files.settings());
        grpc.connections.idle_timeout = Period::millis(200);
    })
    .await;
    let mut silent = shake(house.grpc(), files.trusting(None)).await.unwrap();
    // A close without a word, which TLS calls an unexpected end.
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
    eventually("the slot is free", || house.started.connections().next().unwrap().open() == 1).await;
}

#[tokio::test]
async fn a_drain_is_told_over_tls_as_well() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.settings()).await;
    assert_eq!(serial(house.json(), files.trusting(None)).await, 1);
    let mut wire = Wire::over(shake(house.json(), files.trusting(None)).await.unwrap());
    assert_eq!(wire.request("POST /", "", b"{}").await.status, 200);
    let half = TcpStream::connect(house.json()).await.unwrap();
    house.shutdown.cancel();
    assert!(house.started.closed(Duration::from_secs(5)).await, "cut at the deadline");
    assert!(wire.is_closed().await, "ended without a close_notify");
    drop(half);
}

/// As cert-manager does it, under calls: those under way end as they began, on the connection that they came on, and new connections
/// see the new certificate.
#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_disturbs_no_call() {
    let files = Files::new();
    let house = tls_house(Mood::Hangs, &files.settings()).await;
    let mut grpc = LogsServiceClient::new(channel(house.grpc(), files.trusting(None)).await);
    let mut busy = grpc.clone();
    let under_way = forebay_pipeline::task::spawn("client", async move { busy.export(logs(3)).await });
    eventually("a call is under way", || house.door(OTLP_GRPC).admitted() == 3).await;

    files.put(&files.authority.server(2));
    house.started.look(Look::AtRest);
    assert_eq!(serial(house.grpc(), files.trusting(None)).await, 1, "taken on before it came to rest");
    house.started.look(Look::AtRest);
    assert_eq!(serial(house.grpc(), files.trusting(None)).await, 2);
    assert_eq!(serial(house.json(), files.trusting(None)).await, 2);

    house.gate.add_permits(2);
    under_way.await.unwrap().unwrap();
    grpc.export(logs(4)).await.unwrap();
    assert_eq!((house.told(OTLP_GRPC), house.tls(OTLP_GRPC).changes.counts()), ([2, 0, 0, 0], (1, 0)));
    // The one connection of the client, and the two that looked.
    assert_eq!(house.tls(OTLP_GRPC).done(), 3);
}

#[tokio::test]
async fn files_that_cannot_be_used_change_nothing_and_are_counted() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.settings()).await;
    let expires = house.tls(JSON).not_after();
    let good = files.authority.server(7);
    let expired = files.authority.issue(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let mixed = Pair { key: expired.key.clone(), ..good.clone() };
    for (bad, count) in [(&mixed, 1), (&expired, 2)] {
        files.put(bad);
        house.started.look(Look::AtOnce);
        assert_eq!(serial(house.json(), files.trusting(None)).await, 1);
        assert_eq!(house.tls(JSON).changes.counts(), (0, count));
    }
    house.started.look(Look::AtOnce);
    assert_eq!(house.tls(JSON).changes.counts(), (0, 2), "nothing has changed since");
    assert_eq!(house.tls(JSON).not_after(), expires);

    files.put(&files.authority.issue(|params| {
        params.serial_number = Some(8.into());
        params.not_after = rcgen::date_time_ymd(2999, 1, 1);
        params.subject_alt_names = vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
    }));
    house.started.look(Look::AtOnce);
    assert_eq!(serial(house.json(), files.trusting(None)).await, 8);
    assert_eq!((house.tls(JSON).changes.counts(), house.tls(JSON).not_after()), ((1, 2), 32_472_144_000));
}

#[tokio::test]
async fn whom_to_trust_can_be_changed_as_well() {
    let files = Files::new();
    let house = tls_house(Mood::Delivers, &files.mutual(ClientAuth::Required)).await;
    let next = Authority::new();
    let (old, new) = (files.authority.client("old"), next.client("new"));
    assert!(is_let_in(house.json(), files.trusting(Some(&old))).await);
    assert!(!is_let_in(house.json(), files.trusting(Some(&new))).await);
    files.write("ca.crt", next.pem());
    house.started.look(Look::AtOnce);
    assert!(!is_let_in(house.json(), files.trusting(Some(&old))).await);
    assert!(is_let_in(house.json(), files.trusting(Some(&new))).await);
}
