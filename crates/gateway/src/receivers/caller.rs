//! Who sends.

use std::fmt;
use std::sync::Arc;

/// Whom a connection or a request was authenticated as; `None` if nobody asked. To clone it costs a count and no memory.
pub type Caller = Option<Arc<Identity>>;

/// Who sends, as shown by a certificate or a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    pub proof: Proof,
    /// The certificate's or the secret's name.
    pub name: String,
}

/// What an identity was shown by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Certificate,
    Token,
    Password,
    ApiKey,
    /// The key that clients and server of Fluent Forward share. The name is the client's host.
    SharedKey,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = match self.proof {
            Proof::Certificate => "certificate",
            Proof::Token => "token",
            Proof::Password => "user",
            Proof::ApiKey => "API key",
            Proof::SharedKey => "host",
        };
        write!(f, "{proof} {}", self.name)
    }
}
