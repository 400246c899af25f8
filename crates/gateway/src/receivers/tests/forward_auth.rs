//! The handshake of Fluent Forward: whom it lets in, and what it tells the others.

use super::certs::{Files, shake};
use super::forward::{Client, forward_house, one, packed};
use super::*;
use crate::receivers::tls::config::ClientAuth;
use rmpv::Value;
use std::path::Path;

const KEY: &str = "a key that is shared";

fn files(dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (key, users) = (dir.join("key"), dir.join("users"));
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    std::fs::write(&users, "# who may send\n\nalice:wonder:land\nbob:builder\n").unwrap();
    (key, users)
}

fn sha512(parts: &[&[u8]]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA512, &parts.concat());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn auth_house(dir: &Path, with_users: bool) -> House {
    let (key, users) = files(dir);
    forward_house(Mood::Delivers, 64 * MIB, |forward| {
        let users = with_users.then_some(users);
        let auth = serde_json::json!({"shared_key_file": key, "users_file": users});
        forward.auth = Some(serde_json::from_value(auth).unwrap());
        forward.body_timeout = Period::millis(500);
    })
    .await
}

/// What the server says of itself: nonce and salt.
async fn helo(client: &mut Client) -> (Vec<u8>, Vec<u8>) {
    let helo = client.hears().await.unwrap();
    assert_eq!((helo[0].as_str(), helo[1]["keepalive"].as_bool()), (Some("HELO"), Some(true)));
    let bytes = |name: &str| helo[1][name].as_slice().unwrap().to_vec();
    assert_eq!(bytes("nonce").len(), 16);
    (bytes("nonce"), bytes("auth"))
}

/// Shows this key, user and password, and returns what the server says to it.
async fn shakes_hands(client: &mut Client, key: &str, user: &str, password: &str) -> Value {
    let (nonce, auth) = helo(client).await;
    let salt = [0xff, 0x00, 0x80];
    let digest = sha512(&[&salt, b"web-1", &nonce, key.as_bytes()]);
    let password = sha512(&[&auth, user.as_bytes(), password.as_bytes()]);
    let ping = vec![
        "PING".into(),
        "web-1".into(),
        Value::Binary(salt.to_vec()),
        digest.into(),
        user.into(),
        password.into(),
    ];
    client.send(&packed(&Value::Array(ping))).await;
    let pong = client.hears().await.unwrap();
    assert_eq!(pong[0].as_str(), Some("PONG"));
    if pong[1].as_bool() == Some(true) {
        let expected = sha512(&[&salt, b"forebay", &nonce, KEY.as_bytes()]);
        assert_eq!((pong[3].as_str(), pong[4].as_str()), (Some("forebay"), Some(&*expected)));
    }
    pong
}

#[tokio::test]
async fn who_has_the_key_is_let_in_and_is_shown_that_the_server_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let house = auth_house(dir.path(), false).await;
    let mut client = Client::connect(&house).await;
    assert_eq!(shakes_hands(&mut client, KEY, "", "").await[1].as_bool(), Some(true));
    client.send(&one("a")).await;
    assert_eq!(client.hears().await.unwrap()["ack"].as_str(), Some("a"));
    // A new key counts from the next connection on.
    std::fs::write(dir.path().join("key"), "another").unwrap();
    let mut late = Client::connect(&house).await;
    let pong = shakes_hands(&mut late, KEY, "", "").await;
    assert_eq!((pong[1].as_bool(), pong[2].as_str()), (Some(false), Some("shared_key mismatch")));
    assert_eq!(late.hears().await, None);
    client.send(&one("b")).await;
    assert_eq!(client.hears().await.unwrap()["ack"].as_str(), Some("b"));
    eventually("it is counted", || house.told(FORWARD) == [2, 0, 1, 0]).await;
}

#[tokio::test]
async fn users_are_asked_for_where_there_are_some() {
    let dir = tempfile::tempdir().unwrap();
    let house = auth_house(dir.path(), true).await;
    for (key, user, password, is_let_in) in [
        (KEY, "alice", "wonder:land", true),
        (KEY, "bob", "builder", true),
        (KEY, "alice", "builder", false),
        (KEY, "carol", "", false),
        (KEY, "", "", false),
        ("wrong", "bob", "builder", false),
    ] {
        let mut client = Client::connect(&house).await;
        let pong = shakes_hands(&mut client, key, user, password).await;
        assert_eq!(pong[1].as_bool(), Some(is_let_in), "{key} {user} {password}");
    }
}

#[tokio::test]
async fn who_sends_without_a_handshake_or_says_nothing_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let house = auth_house(dir.path(), false).await;
    let says: [&[u8]; 4] = [&one("a"), b"\x96\xa4PING", b"\x96\xa4PONG\xa0\xa0\xa0\xa0\xa0", b""];
    for says in says {
        let mut client = Client::connect(&house).await;
        helo(&mut client).await;
        client.send(says).await;
        assert_eq!(client.hears().await, None, "{says:x?}");
    }
    eventually("they are counted", || house.told(FORWARD) == [0, 2, 2, 0]).await;
    assert_eq!((house.door(FORWARD).admitted(), house.intake.budget().used()), (0, 0));
}

/// Over TLS the client shakes hands first, and the server then says `HELO`; who has no certificate does not come so far.
#[tokio::test]
async fn the_handshake_goes_over_tls_with_certificates_as_well() {
    let (dir, tls) = (tempfile::tempdir().unwrap(), Files::new());
    let (key, _) = files(dir.path());
    let house = forward_house(Mood::Delivers, 64 * MIB, |forward| {
        forward.tls = Some(tls.mutual(ClientAuth::Required));
        forward.auth = serde_json::from_value(serde_json::json!({"shared_key_file": key})).unwrap();
    })
    .await;
    let address = house.started.address(FORWARD).unwrap();
    let own = tls.authority.client("fluentd");
    let mut client = Client::over(shake(address, tls.trusting(Some(&own))).await.unwrap());
    assert_eq!(shakes_hands(&mut client, KEY, "", "").await[1].as_bool(), Some(true));
    client.send(&one("secret")).await;
    assert_eq!(client.hears().await.unwrap()["ack"].as_str(), Some("secret"));
    if let Ok(stranger) = shake(address, tls.trusting(None)).await {
        assert_eq!(Client::over(stranger).hears().await, None);
    }
    let mut plain = Client::connect(&house).await;
    plain.send(&one("plain")).await;
    assert!(!matches!(plain.hears().await, Some(Value::Map(_))));
    assert_eq!(house.door(FORWARD).admitted(), 1);
}

#[test]
fn files_that_hold_nothing_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (key, users) = files(dir.path());
    let faults = |key: &Path, users: &Path| {
        let auth = serde_json::json!({"forward": {"auth": {"shared_key_file": key, "users_file": users}}});
        let config: Receivers = serde_json::from_value(auth).unwrap();
        config.faults().into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(faults(&key, &users), [""; 0]);
    let nowhere = dir.path().join("nowhere");
    assert_eq!(faults(&nowhere, &nowhere), ["forward.auth.shared_key_file", "forward.auth.users_file"]);
    std::fs::write(&key, " \n").unwrap();
    std::fs::write(&users, "alice\n").unwrap();
    assert_eq!(faults(&key, &users), ["forward.auth.shared_key_file", "forward.auth.users_file"]);
}
