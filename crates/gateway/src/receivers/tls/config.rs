//! Settings of TLS, the same for every receiver.

use forebay_pipeline::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// TLS 1.2 and 1.3. A port that has it takes no connection without it. The files are looked at every `reload.interval`: changed ones
/// are used for new connections, and those that are open stay.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file: the server's certificate, then those of the authorities between it and the one that clients trust.
    pub cert_file: PathBuf,
    /// A PEM file with the private key of the certificate, unencrypted (PKCS#8, PKCS#1 or SEC1).
    pub key_file: PathBuf,
    /// A PEM file with the authorities that sign the certificates of clients. Needed where `client_auth` is not `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients show a certificate.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: MinVersion,
    /// How long a handshake may take, from the client's first byte. A connection that shakes hands counts among `connections.max`.
    /// Default `10s`.
    #[serde(default = "ten_seconds")]
    pub handshake_timeout: Period,
}

fn ten_seconds() -> Period {
    Period::secs(10)
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// They are not asked for one.
    #[default]
    None,
    /// They may. One that does not hold is refused.
    Optional,
    /// They must.
    Required,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum MinVersion {
    /// RFC 5246, with forward secrecy and authenticated encryption only.
    #[default]
    #[serde(rename = "tls1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "tls1.3")]
    Tls13,
}

impl TlsConfig {
    /// What is wrong, here and in the files: each fault with the setting that it belongs to.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = super::files::load(self, &[]).err().unwrap_or_default();
        if self.handshake_timeout.0.is_zero() {
            let why = "with no time to shake hands, every connection would fail".to_owned();
            faults.push(("handshake_timeout", why));
        }
        faults
    }

    /// The files that it names.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let own = [self.cert_file.clone(), self.key_file.clone()];
        own.into_iter().chain(self.client_ca_file.clone()).collect()
    }
}
