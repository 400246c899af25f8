//! Clients that users have, with and without what they need to get in.

use crate::world::{EITHER, PASSWORD, TOKEN, World};
use forebay_tests::python::{Python, summary};
use forebay_tests::{lumber, telemetrygen};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const SETTLED_WITHIN: Duration = Duration::from_secs(10);

impl World {
    /// Posts a record with curl; the status and the version of HTTP, or why there was no answer.
    fn curl(&self, args: &[&str]) -> Result<String, String> {
        let mut curl = Command::new("curl");
        let address = format!("https://127.0.0.1:{}/", self.gateway.ports.json);
        curl.args(["--silent", "--show-error", "--output", "/dev/null"]);
        curl.args(["--write-out", "%{http_code} %{http_version}", "--noproxy", "*"]);
        curl.args(["--cacert", &self.file("ca.crt"), "--data", "{}"]).args(args).arg(address);
        let Output { status, stdout, stderr } = curl.output().unwrap();
        let said = |bytes| String::from_utf8(bytes).unwrap();
        if status.success() { Ok(said(stdout)) } else { Err(said(stderr)) }
    }
}

#[test]
fn curl_is_let_in_with_any_proof_and_with_no_wrong_one() {
    let world = World::start(EITHER);
    let (bearer, user) = (format!("Authorization: Bearer {TOKEN}"), format!("alice:{PASSWORD}"));
    let (agent, agent_key) = (world.file("agent.crt"), world.file("agent.key"));
    let (stranger, stranger_key) = (world.file("stranger.crt"), world.file("stranger.key"));
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let curl = |args: &[&str]| world.curl(&[version, args].concat());
        assert_eq!(curl(&["-H", &bearer]).unwrap(), "200 2");
        assert_eq!(curl(&["--http1.1", "-u", &user]).unwrap(), "200 1.1");
        assert_eq!(curl(&["--cert", &agent, "--key", &agent_key]).unwrap(), "200 2");
        assert_eq!(curl(&[]).unwrap(), "401 2");
        assert_eq!(curl(&["-u", "alice:wrong"]).unwrap(), "401 2");
        curl(&["--cert", &stranger, "--key", &stranger_key]).unwrap_err();
    }
    let refused = |reason| {
        world.count(
            "forebay_receiver_unauthenticated_requests_total",
            &[("receiver", "json"), ("reason", reason)],
        )
    };
    assert_eq!((refused("missing"), refused("wrong"), refused("unsupported")), (2.0, 2.0, 0.0));
    let failed = "forebay_receiver_tls_handshake_failures_total";
    assert_eq!(world.count(failed, &[("receiver", "json"), ("reason", "bad_certificate")]), 2.0);
    let ledger = world.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!(ledger.delivered, 6.0, "{ledger:?}");
    let log = world.log();
    for secret in [TOKEN, PASSWORD, "YWxpY2U6"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn openssl_agrees_on_new_versions_and_on_no_old_one() {
    let world = World::start(EITHER);
    let session = |args: &[&str]| {
        let mut openssl = Command::new("openssl");
        let address = format!("127.0.0.1:{}", world.gateway.ports.otlp_grpc);
        openssl.args(["s_client", "-connect", &address, "-CAfile", &world.file("ca.crt")]).args(args);
        let output = openssl.stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for version in ["1_2", "1_3"] {
        let (_, said) = session(&[&format!("-tls{version}"), "-alpn", "h2"]);
        let version = format!("TLSv{}", version.replace('_', "."));
        assert!(said.contains(&version) && said.contains("Verify return code: 0 (ok)"), "{said}");
        assert!(said.contains("ALPN protocol: h2"), "{said}");
    }
    // The client would: it is the server that does not.
    let (is_done, said) = session(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(!is_done && said.contains("Cipher is (NONE)"), "{said}");
    let labels = [("receiver", "otlp_grpc"), ("reason", "version")];
    assert_eq!(world.count("forebay_receiver_tls_handshake_failures_total", &labels), 1.0);
}

#[test]
fn the_opentelemetry_sdk_sends_with_a_token_or_with_a_certificate() {
    let world = World::start(EITHER);
    let python = Python::install().unwrap();
    let ports = world.gateway.ports;
    let (ca, header) = (world.file("ca.crt"), format!("authorization=Bearer {TOKEN}"));
    let (certificate, key) = (world.file("agent.crt"), world.file("agent.key"));
    let token = ["--header", &header];
    let own = ["--certificate", &certificate, "--key", &key];
    for (protocol, port) in [("grpc", ports.otlp_grpc), ("http", ports.otlp_http)] {
        let endpoint = format!("https://127.0.0.1:{port}");
        let base = ["--protocol", protocol, "--endpoint", &endpoint, "--ca", &ca, "--count", "300"];
        for proof in [&token[..], &own] {
            let output = python.run("otlp_logs.py", &[&base, proof].concat()).unwrap();
            assert_eq!(summary(&output).unwrap()["acknowledged"], 300, "{protocol} {proof:?}");
        }
        let mut wrong =
            python.command("otlp_logs.py", &[&base[..], &["--header", "authorization=Bearer x"]].concat());
        let output = wrong.output().unwrap();
        assert_eq!(summary(&output).unwrap()["acknowledged"], 0, "{protocol}");
        let receiver = format!("otlp_{protocol}");
        let labels = [("receiver", receiver.as_str()), ("reason", "wrong")];
        assert!(world.count("forebay_receiver_unauthenticated_requests_total", &labels) >= 1.0);
    }
    let ledger = world.gateway.balanced_ledger(SETTLED_WITHIN).unwrap();
    assert_eq!(ledger.delivered, 1200.0, "{ledger:?}");
}

#[test]
fn telemetrygen_sends_with_a_token() {
    let world = World::start(EITHER);
    let endpoint = format!("127.0.0.1:{}", world.gateway.ports.otlp_grpc);
    let (ca, header) = (world.file("ca.crt"), format!("authorization=\"Bearer {TOKEN}\""));
    let args = [
        "logs",
        "--otlp-endpoint",
        &endpoint,
        "--ca-cert",
        &ca,
        "--otlp-header",
        &header,
        "--logs",
        "200",
        "--rate",
        "0",
    ];
    telemetrygen::run(&args).unwrap();
    assert_eq!(world.gateway.balanced_ledger(SETTLED_WITHIN).unwrap().delivered, 200.0);
}

#[test]
fn go_lumber_needs_a_certificate_of_the_authority() {
    let world = World::start(EITHER);
    let port = world.gateway.ports.beats;
    let (ca, events) = (world.file("ca.crt"), "{\"message\":\"over TLS\"}\n".repeat(50));
    let send = |name: &str, more: &[&str]| {
        let (certificate, key) = (world.file(&format!("{name}.crt")), world.file(&format!("{name}.key")));
        let args = [&["-ca", &ca, "-certificate", &certificate, "-key", &key], more].concat();
        lumber::send(port, &args, &events)
    };
    send("agent", &["-window", "7"]).unwrap();
    send("agent", &["-inflight", "2", "-window", "20"]).unwrap();
    send("stranger", &[]).unwrap_err();
    lumber::send(port, &["-ca", &ca], &events).unwrap_err();
    lumber::send(port, &[], &events).unwrap_err();
    let failures = |reason| {
        let labels = [("receiver", "beats"), ("reason", reason)];
        world.count("forebay_receiver_tls_handshake_failures_total", &labels)
    };
    for reason in ["bad_certificate", "no_certificate", "plaintext"] {
        assert!(failures(reason) >= 1.0, "{reason}: {}", world.log());
    }
    assert_eq!(world.gateway.balanced_ledger(SETTLED_WITHIN).unwrap().delivered, 100.0);
    assert!(world.log().contains("a TLS handshake failed"));
}
