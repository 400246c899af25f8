//! What `forebay check` says of certificates, keys and secrets.

use crate::world::Authority;
use forebay_tests::gateway;
use std::fs;
use std::process::Command;

const SECRET: &str = "hunter2-of-the-test";

const FAULTY: &str = r#"receivers:
  otlp:
    grpc:
      listen: "127.0.0.1:4317"
      tls:
        cert_file: DIR/nowhere.crt
        key_file: DIR/bad.key
    http:
      tls:
        cert_file: DIR/old.crt
        key_file: DIR/old.key
      auth:
        bearer_file: DIR/nowhere
  json:
    tls:
      cert_file: DIR/tls.crt
      key_file: DIR/other.key
      min_version: "1.1"
    auth: {basic_file: DIR/users}
  beats:
    tls:
      cert_file: DIR/tls.crt
      key_file: DIR/tls.key
      client_auth: required
"#;

const FAULTS: [&str; 8] = [
    "6:20: receivers.otlp.grpc.tls.cert_file: cannot read `",
    "7:19: receivers.otlp.grpc.tls.key_file: `",
    "10:20: receivers.otlp.http.tls.cert_file: certificate 1 of `",
    "13:22: receivers.otlp.http.auth.bearer_file: `",
    "17:17: receivers.json.tls.key_file: is not the key of the certificate in `cert_file`",
    "18:20: receivers.json.tls.min_version: expected one of `tls1.2`, `tls1.3`, found the text `1.1`",
    "19:24: receivers.json.auth.basic_file: `",
    "24:20: receivers.beats.tls.client_auth: needs `client_ca_file` to know whom to trust",
];

#[test]
fn every_bad_file_is_named_where_the_settings_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, authority) = (folder.path(), Authority::new());
    authority.server(dir, 1);
    authority.client(dir, "other");
    authority.issue(dir, "old", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    fs::write(dir.join("bad.key"), SECRET).unwrap();
    fs::write(dir.join("users"), SECRET).unwrap();
    let file = dir.join("forebay.yaml");
    fs::write(&file, FAULTY.replace("DIR", dir.to_str().unwrap())).unwrap();
    let output = Command::new(gateway::binary().unwrap()).arg("check").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    for (line, start) in lines.iter().zip(FAULTS) {
        let start = format!("{}:{start}", file.display());
        assert!(line.starts_with(&start), "expected {start}\n   found {line}");
    }
    assert_eq!(lines.len(), FAULTS.len() + 1, "{said}");
    for part in
        ["holds no private key in PEM", "expired at 2020-01-01T00:00:00Z", "line 1 is no `user:password`"]
    {
        assert!(said.contains(part), "no {part}: {said}");
    }
    assert!(!said.contains(SECRET), "{said}");
}
