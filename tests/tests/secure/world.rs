//! A gateway with certificates of our own making and secrets in files.

use forebay_tests::Gateway;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
    SerialNumber,
};
use std::fs;
use std::path::{Path, PathBuf};

pub const TOKEN: &str = "a-token-of-the-test";
pub const PASSWORD: &str = "a:password-of-the-test";

/// Every receiver with TLS that asks for a client's certificate or a secret; Beats, which have no secrets, for a certificate.
pub const EITHER: &str = r#"receivers:
  otlp:
    grpc: {listen: "127.0.0.1:{otlp_grpc}", tls: {TLS, client_auth: optional}, auth: {AUTH}}
    http: {listen: "127.0.0.1:{otlp_http}", tls: {TLS, client_auth: optional}, auth: {AUTH}}
  json: {listen: "127.0.0.1:{json}", tls: {TLS, client_auth: optional}, auth: {AUTH}}
  beats: {listen: "127.0.0.1:{beats}", tls: {TLS, client_auth: required}}
reload: {interval: 200ms}
"#;

const COMMON: &str = r#"sinks: {files: {type: file, path: "{dir}/records"}}
dead_letters: {path: "{dir}/dead-letters"}
drain: {door_open: 0s}
admin: {listen: "127.0.0.1:{admin}"}
"#;
const TLS: &str =
    r#"cert_file: "{dir}/tls/tls.crt", key_file: "{dir}/tls/tls.key", client_ca_file: "{dir}/ca.crt""#;
const AUTH: &str = r#"bearer_file: "{dir}/tokens", basic_file: "{dir}/users""#;

/// Signs certificates.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named("an authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Writes `tls.crt` and `tls.key` of a server on the loopback address into `folder`.
    pub fn server(&self, folder: &Path, serial: u64) {
        self.issue(folder, "tls", |params| {
            params.serial_number = Some(SerialNumber::from(serial));
            params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        });
    }

    /// Writes `name.crt` and `name.key` of a client into `folder`.
    pub fn client(&self, folder: &Path, name: &str) {
        self.issue(folder, name, |params| params.distinguished_name = named(name));
    }

    /// Writes a certificate as `change` wants it, and its key.
    pub fn issue(&self, folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// A gateway and its authority.
pub struct World {
    pub gateway: Gateway,
    pub authority: Authority,
}

impl World {
    /// Starts a gateway with these receivers. Its server certificate has serial number 1; `agent` and `stranger` are clients'
    /// certificates, the second one by another authority.
    pub fn start(receivers: &str) -> Self {
        let (mut gateway, authority) = (Gateway::prepare().unwrap(), Authority::new());
        let folder = gateway.folder().to_owned();
        fs::create_dir(folder.join("..1")).unwrap();
        authority.server(&folder.join("..1"), 1);
        link(&folder, "..1");
        authority.client(&folder, "agent");
        Authority::new().client(&folder, "stranger");
        fs::write(folder.join("ca.crt"), &authority.pem).unwrap();
        fs::write(folder.join("tokens"), format!("agents:{TOKEN}\n")).unwrap();
        fs::write(folder.join("users"), format!("alice:{PASSWORD}\n")).unwrap();
        let text = format!("{receivers}{COMMON}").replace("TLS", TLS).replace("AUTH", AUTH);
        gateway.configure(&text).unwrap();
        gateway.start_again().unwrap();
        Self { gateway, authority }
    }

    pub fn file(&self, name: &str) -> String {
        self.gateway.folder().join(name).to_str().unwrap().to_owned()
    }

    /// A sample of the receiver's metrics.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.gateway.metrics().unwrap().sum(name, labels)
    }

    /// What the gateway has logged.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.gateway.folder().join(name)).unwrap();
        read("stdout.log") + &read("stderr.log")
    }
}

/// Has `tls` point to another folder, in one step, as Kubernetes does with `..data`.
pub fn link(folder: &Path, version: &str) {
    let draft: PathBuf = folder.join("..tmp");
    std::os::unix::fs::symlink(version, &draft).unwrap();
    fs::rename(draft, folder.join("tls")).unwrap();
}
