//! Who may send: right, wrong, missing and replaced secrets, in each protocol.

use super::certs::{Files, shake};
use super::raw::{Called, Wire, call, frame, once};
use super::*;
use crate::receivers::auth::AuthConfig;
use crate::receivers::tls::config::ClientAuth;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";

/// Files of secrets.
pub(super) struct Secrets(TempDir);

impl Secrets {
    pub(super) fn new() -> Self {
        let secrets = Self(tempfile::tempdir().unwrap());
        secrets.write("tokens", "# of the agents\nagents:s3cret\n\nanother-one\n");
        secrets.write("users", "alice:wonder:land\n");
        secrets.write("keys", "ci:key-1\n");
        secrets
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn settings(&self) -> AuthConfig {
        let file = |name: &str| Some(self.0.path().join(name));
        let (bearer_file, basic_file, api_key_file) = (file("tokens"), file("users"), file("keys"));
        AuthConfig { bearer_file, basic_file, api_key_file, ..AuthConfig::default() }
    }
}

fn ask(config: &mut Receivers, auth: &AuthConfig) {
    let otlp = config.otlp.as_mut().unwrap();
    otlp.grpc.as_mut().unwrap().auth = Some(auth.clone());
    otlp.http.as_mut().unwrap().auth = Some(auth.clone());
    config.json.as_mut().unwrap().auth = Some(auth.clone());
}

async fn asking_house(auth: &AuthConfig) -> House {
    house_with(Mood::Delivers, 64 * MIB, |config| ask(config, auth)).await
}

async fn post(house: &House, header: &str) -> u16 {
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    once(house.json(), "POST /", &header, b"{}").await.status
}

impl House {
    fn turned_away(&self, receiver: &str) -> [u64; 3] {
        let mut all = self.started.connections();
        let connections = all.find(|connections| connections.receiver == receiver).unwrap();
        let counts: Vec<u64> = connections.gate.as_ref().unwrap().refused().map(|(_, count)| count).collect();
        counts.try_into().unwrap()
    }
}

#[tokio::test]
async fn each_kind_of_secret_opens_and_nothing_else_does() {
    let secrets = Secrets::new();
    let house = asking_house(&secrets.settings()).await;
    // alice:wonder:land
    let right = [
        "authorization: Bearer s3cret",
        "authorization: bearer another-one",
        "authorization: Basic YWxpY2U6d29uZGVyOmxhbmQ=",
        "authorization: ApiKey key-1",
        "x-api-key: key-1",
    ];
    for header in right {
        assert_eq!(post(&house, header).await, 200, "{header}");
    }
    let wrong = [
        "authorization: Bearer agents:s3cret",
        "authorization: Bearer s3cre",
        "authorization: Bearer s3crets",
        "authorization: Bearer key-1",
        "authorization: Basic czNjcmV0",
        "x-api-key: s3cret",
        "x-api-key: ",
    ];
    for header in wrong {
        assert_eq!(post(&house, header).await, 401, "{header}");
    }
    let unsupported =
        ["authorization: Digest username=alice", "authorization: s3cret", "authorization: Bearer "];
    for header in unsupported {
        assert_eq!(post(&house, header).await, 401, "{header}");
    }
    assert_eq!(post(&house, "").await, 401);
    let (ok, refused) = (right.len() as u64, (wrong.len() + unsupported.len() + 1) as u64);
    assert_eq!(house.told(JSON), [ok, 0, refused, 0]);
    assert_eq!(house.door(JSON).unread(), refused, "on the ledger as requests of which nothing was read");
    assert_eq!(house.turned_away(JSON), [1, unsupported.len() as u64, wrong.len() as u64]);
}

#[tokio::test]
async fn the_answer_is_the_protocols_own_and_says_what_to_show() {
    let secrets = Secrets::new();
    let house = asking_house(&secrets.settings()).await;
    let answer = once(house.json(), "POST /", "", b"{}").await;
    assert_eq!(answer.json()["error"], "credentials are needed here");
    for scheme in ["bearer", "basic", "apikey"] {
        assert!(
            answer.head.contains(&format!("www-authenticate: {scheme} realm=\"forebay\"")),
            "{}",
            answer.head
        );
    }
    let body = logs(3).encode_to_vec();
    let answer = once(house.http(), "POST /v1/logs", PROTOBUF, &body).await;
    let told = answer.status_message();
    assert_eq!((answer.status, told.code, told.message.as_str()), (401, 16, "credentials are needed here"));
    let answer = once(house.http(), "POST /v1/logs", "content-type: application/json\r\n", b"{}").await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &16.into()));
    // A path that is not there tells nothing to those who may not come in.
    assert_eq!(once(house.http(), "GET /v1/else", "", b"").await.status, 401);

    let export = async |headers: &[(&'static str, &str)]| -> Called {
        let headers = [&[("content-type", "application/grpc")], headers].concat();
        call(house.grpc(), EXPORT, &headers, frame(0, &body)).await
    };
    for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
        let called = export(headers).await;
        assert_eq!((called.http.as_u16(), called.status.unwrap().code()), (200, Code::Unauthenticated));
    }
    assert_eq!(export(&[("authorization", "Bearer s3cret")]).await.status.unwrap().code(), Code::Ok);
    assert_eq!((house.told(OTLP_GRPC), house.turned_away(OTLP_GRPC)), ([1, 0, 2, 0], [1, 0, 1]));
    assert_eq!((house.told(OTLP_HTTP), house.settled(Outcome::Delivered)), ([0, 0, 3, 0], 3));
}

#[tokio::test]
async fn a_long_body_is_not_waited_for_and_a_short_one_keeps_the_connection() {
    let house = asking_house(&Secrets::new().settings()).await;
    let mut wire = Wire::connect(house.json()).await;
    for _ in 0..2 {
        let answer = wire.request("POST /", "", b"{}").await;
        assert!(answer.status == 401 && !answer.head.contains("connection: close"), "{}", answer.head);
    }
    wire.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n{").await;
    let answer = wire.answer().await;
    assert!(answer.status == 401 && answer.head.contains("connection: close"), "{}", answer.head);
    assert_eq!((house.intake.budget().used(), house.door(JSON).bytes()), (0, 0));
}

#[tokio::test]
async fn health_is_for_everybody() {
    let house = asking_house(&Secrets::new().settings()).await;
    let address = tonic::transport::Endpoint::from_shared(format!("http://{}", house.grpc())).unwrap();
    let mut health = HealthClient::new(address.connect().await.unwrap());
    let check = HealthCheckRequest { service: String::new() };
    assert_eq!(health.check(check).await.unwrap().into_inner().status, 1);
    assert_eq!(house.turned_away(OTLP_GRPC), [0; 3]);
}

#[tokio::test]
async fn secrets_are_replaced_without_a_restart() {
    let secrets = Secrets::new();
    let house = asking_house(&secrets.settings()).await;
    let mut client = LogsServiceClient::connect(format!("http://{}", house.grpc())).await.unwrap();
    let mut export = async |token: &str| {
        let mut request = tonic::Request::new(logs(1));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        client.export(request).await.map_err(|status| status.code()).map(drop)
    };
    export("s3cret").await.unwrap();
    secrets.write("tokens", "agents:n3w\n");
    house.started.look(Look::AtRest);
    export("s3cret").await.unwrap();
    house.started.look(Look::AtRest);
    assert_eq!(export("s3cret").await, Err(Code::Unauthenticated));
    export("n3w").await.unwrap();

    // What cannot be used changes nothing.
    secrets.write("tokens", "\n# all gone\n");
    house.started.look(Look::AtOnce);
    export("n3w").await.unwrap();
    let gate = house.started.connections().next().unwrap().gate.as_ref().unwrap();
    assert_eq!(gate.changes.counts(), (1, 1));
}

#[tokio::test]
async fn a_reload_can_begin_and_cease_to_ask() {
    let secrets = Secrets::new();
    let house = house(Mood::Delivers).await;
    assert_eq!(post(&house, "").await, 200);
    let mut config = Receivers::default();
    let adopt = |config: &Receivers| {
        house.started.adopt(config, Acknowledge::default(), &house.intake, &house.ledger);
    };
    ask(&mut config, &secrets.settings());
    adopt(&config);
    assert_eq!((post(&house, "").await, post(&house, "x-api-key: key-1").await), (401, 200));
    // A file that went away in between: nobody new gets in, and nobody is let in for want of it.
    fs::remove_file(secrets.0.path().join("keys")).unwrap();
    adopt(&config);
    assert_eq!((post(&house, "").await, post(&house, "x-api-key: key-1").await), (401, 200));
    adopt(&Receivers::default());
    assert_eq!(post(&house, "").await, 200);
}

/// `optional`: a certificate or a secret. `required`: both.
#[tokio::test]
async fn certificates_and_secrets_go_together_as_the_settings_say() {
    let (files, secrets) = (Files::new(), Secrets::new());
    let friend = files.authority.client("friend");
    for (client_auth, certificate_alone) in [(ClientAuth::Optional, 200), (ClientAuth::Required, 401)] {
        let house = house_with(Mood::Delivers, MIB, |config| {
            ask(config, &secrets.settings());
            config.json.as_mut().unwrap().tls = Some(files.mutual(client_auth));
        })
        .await;
        let post = async |own, header| {
            let mut wire = Wire::over(shake(house.json(), files.trusting(own)).await.unwrap());
            wire.request("POST /", header, b"{}").await.status
        };
        assert_eq!(post(Some(&friend), "").await, certificate_alone);
        assert_eq!(post(Some(&friend), "x-api-key: key-1\r\n").await, 200);
        if client_auth == ClientAuth::Optional {
            assert_eq!(post(None, "").await, 401);
            assert_eq!(post(None, "x-api-key: key-1\r\n").await, 200);
        }
    }
}

#[test]
fn faults_of_secret_files_name_the_line_and_no_secret() {
    let secrets = Secrets::new();
    let mut config = Receivers::default();
    ask(&mut config, &secrets.settings());
    assert_eq!(config.faults(), []);
    secrets.write("tokens", "a:hunter2\nb:hunter2\n");
    secrets.write("users", "hunter2\n");
    secrets.write("keys", "n:hunter 2\n");
    let json = JsonConfig {
        auth: Some(AuthConfig { api_key_header: "x y".to_owned(), ..secrets.settings() }),
        ..JsonConfig::default()
    };
    let config = Receivers { otlp: None, json: Some(json), ..Receivers::default() };
    let faults = config.faults();
    let paths: Vec<&str> = faults.iter().map(|(path, _)| path.as_str()).collect();
    let fields = ["bearer_file", "basic_file", "api_key_file", "api_key_header"];
    assert_eq!(paths, fields.map(|field| format!("json.auth.{field}")));
    for ((_, why), line) in faults.iter().zip(["line 2", "line 1", "line 1", ""]) {
        assert!(why.contains(line) && !why.contains("hunter"), "{why}");
    }
    secrets.write("users", "alice:\n");
    let auth = AuthConfig { api_key_header: "Authorization".to_owned(), ..secrets.settings() };
    let json = JsonConfig { auth: Some(auth), ..JsonConfig::default() };
    let config = Receivers { otlp: None, json: Some(json), ..Receivers::default() };
    let paths: Vec<String> = config.faults().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, fields.map(|field| format!("json.auth.{field}")), "an empty password opens nothing");
    let json = JsonConfig { auth: Some(AuthConfig::default()), ..JsonConfig::default() };
    let config = Receivers { otlp: None, json: Some(json), ..Receivers::default() };
    assert_eq!(config.faults()[0].0, "json.auth");
}
