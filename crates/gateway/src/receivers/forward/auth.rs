//! Whom the handshake lets in: clients that have the shared key, and show a user and a password where users are asked for.

use super::super::answer::{Fault, Kind};
use super::super::caller::{Identity, Proof};
use super::super::endpoint::Endpoint;
use super::super::tls::files::read;
use super::acks::say;
use super::reader::Reader;
use forebay_pipeline::wire::forward::message::{Ping, Violation, helo, pong};
use rand::Rng as _;
use ring::{digest, hmac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// The longest answer to `HELO`, in bytes.
const MAX_PING_BYTES: usize = 8 << 10;
/// The longest name of a host that is written to the log, in characters.
const MAX_HOST_CHARS: usize = 253;

/// The handshake of Fluent Forward: `<security>` in Fluentd, `shared_key` in Fluent Bit. Its files are read for each connection. Without TLS the
/// secrets do not go over the wire, but the events do as they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuth {
    /// The key that clients share with this receiver: the file's text without white space at its ends.
    pub shared_key_file: PathBuf,
    /// Users that may send, `user:password` on each line; empty lines and lines that begin with `#` do not count. Default: no user is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_file: Option<PathBuf>,
    /// What this receiver calls itself to clients. Fluentd refuses a server of its own host's name.
    #[serde(default = "default_hostname")]
    pub hostname: String,
}

fn default_hostname() -> String {
    "forebay".to_owned()
}

/// What the files hold.
struct Secrets {
    shared_key: Vec<u8>,
    users: Option<Vec<(String, String)>>,
}

impl ForwardAuth {
    /// What is wrong with the files, each fault with its setting.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let key = self.shared_key().err().map(|why| ("shared_key_file", why));
        let users = self.users().err().map(|why| ("users_file", why));
        key.into_iter().chain(users).collect()
    }

    fn shared_key(&self) -> Result<Vec<u8>, String> {
        let key = text(&self.shared_key_file)?.trim().as_bytes().to_vec();
        if key.is_empty() {
            Err(format!("`{}`: holds no key", self.shared_key_file.display()))
        } else {
            Ok(key)
        }
    }

    fn users(&self) -> Result<Option<Vec<(String, String)>>, String> {
        let Some(path) = &self.users_file else { return Ok(None) };
        let mut users = Vec::new();
        for (line, number) in text(path)?.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(':') {
                Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                    users.push((user.to_owned(), password.to_owned()));
                }
                _ => return Err(format!("`{}`: line {number} is no `user:password`", path.display())),
            }
        }
        if users.is_empty() { Err(format!("`{}`: holds no user", path.display())) } else { Ok(Some(users)) }
    }

    fn secrets(&self) -> Result<Secrets, String> {
        Ok(Secrets { shared_key: self.shared_key()?, users: self.users()? })
    }

    /// Shakes hands, and says who the client is.
    ///
    /// # Errors
    /// It is not let in, or breaks the protocol; it has been told.
    pub async fn shake_hands<R, W>(
        &self,
        reader: &mut Reader<R>,
        write: &mut W,
        endpoint: &Endpoint,
    ) -> Result<Arc<Identity>, Fault>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let secrets = self.secrets().map_err(|why| Fault::new(Kind::Busy, why))?;
        let gone = |_| Fault::new(Kind::Cut, "the connection ended in the handshake");
        let nonce: [u8; 16] = rand::rng().random();
        let salt: [u8; 16] = rand::rng().random();
        let salt = if secrets.users.is_some() { &salt[..] } else { &[] };
        say(write, &helo(&nonce, salt)).await.map_err(gone)?;
        let answer = reader.value(MAX_PING_BYTES, Violation::NoMessage, endpoint).await?;
        let ping = Ping::parse(&answer)
            .ok_or_else(|| Fault::new(Kind::Unauthenticated, "the client sends without a handshake"))?;
        match secrets.holder(&ping, &nonce, salt) {
            Ok(identity) => {
                let own = sha512(&[ping.salt, self.hostname.as_bytes(), &nonce, &secrets.shared_key]);
                say(write, &pong(None, &self.hostname, &own)).await.map_err(gone)?;
                Ok(Arc::new(identity))
            }
            Err(why) => {
                // It is let go anyway.
                let _ = say(write, &pong(Some(why), "", "")).await;
                Err(Fault::new(Kind::Unauthenticated, why))
            }
        }
    }
}

impl Secrets {
    /// Whom a client shows that it is.
    fn holder(&self, ping: &Ping<'_>, nonce: &[u8], salt: &[u8]) -> Result<Identity, &'static str> {
        let expected = sha512(&[ping.salt, ping.hostname, nonce, &self.shared_key]);
        if !is_same(expected.as_bytes(), ping.digest) {
            return Err("shared_key mismatch");
        }
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(MAX_HOST_CHARS).collect();
        let Some(users) = &self.users else {
            return Ok(Identity { proof: Proof::SharedKey, name: name(ping.hostname) });
        };
        let is_shown = |(user, password): &(String, String)| {
            let expected = sha512(&[salt, user.as_bytes(), password.as_bytes()]);
            user.as_bytes() == ping.user && is_same(expected.as_bytes(), ping.password)
        };
        match users.iter().any(is_shown) {
            true => Ok(Identity { proof: Proof::Password, name: name(ping.user) }),
            false => Err("username/password mismatch"),
        }
    }
}

fn text(path: &Path) -> Result<String, String> {
    let bytes = read(path).map_err(|error| format!("`{}`: cannot be read: {error}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("`{}`: is not UTF-8", path.display()))
}

/// The SHA-512 of the parts, one behind the other, in hexadecimal.
fn sha512(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA512);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether two texts are the same. Compared are their HMACs under a key that nobody knows, so how long it takes says nothing of where they part.
fn is_same(expected: &[u8], shown: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &rand::rng().random::<[u8; 32]>());
    hmac::verify(&key, shown, hmac::sign(&key, expected).as_ref()).is_ok()
}
