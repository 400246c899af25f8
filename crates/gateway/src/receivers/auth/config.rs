//! Settings of authentication, the same for every receiver that speaks HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Secrets of which every request must show one, before its body is read. Name at least one file. Each holds one secret a line, alone
/// or behind a name (`name:secret`) that stands for it in logs; empty lines and lines that begin with `#` do not count. The
/// files are looked at every `reload.interval`. With `tls.client_auth: optional`, a client's certificate will do instead; with
/// `required`, both are needed. Without TLS the secrets go over the wire as they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Tokens that come as `Authorization: Bearer <token>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_file: Option<PathBuf>,
    /// Users that come as `Authorization: Basic <base64 of user:password>`. Each line is `user:password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_file: Option<PathBuf>,
    /// Keys that come in the header `api_key_header`, or as `Authorization: ApiKey <key>`. A key that has a colon needs a name before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// The header that API keys come in.
    pub api_key_header: String,
}

impl Default for AuthConfig {
    fn default() -> Self {
        let api_key_header = "x-api-key".to_owned();
        Self { bearer_file: None, basic_file: None, api_key_file: None, api_key_header }
    }
}

impl AuthConfig {
    /// What is wrong, here and in the files: each fault with the setting that it belongs to.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        super::keyring::Keyring::load(self).err().unwrap_or_default()
    }

    /// The files that it names.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        [&self.bearer_file, &self.basic_file, &self.api_key_file].into_iter().flatten().cloned().collect()
    }
}
