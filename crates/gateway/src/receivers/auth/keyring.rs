//! The secrets of one receiver, and whose they are.
//!
//! They are kept and looked up as HMAC-SHA256 under a key that each keyring draws for itself. Nobody outside can tell or choose such a
//! digest, so how long a look-up takes says nothing of a secret: the comparison need not be constant in time to be safe, and costs
//! the same for one secret and for thousands. The secrets themselves are not kept.

use super::super::caller::{Identity, Proof};
use super::super::tls::files::read;
use super::config::AuthConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng as _;
use ring::hmac;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

type Digest = [u8; 32];

/// How a secret is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Scheme {
    Bearer,
    Basic,
    ApiKey,
}

/// Why nobody is known by a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Unknown {
    /// It shows nothing.
    Missing,
    /// It shows something in a way that is not asked for here.
    Unsupported,
    /// What it shows is nobody's.
    Wrong,
}

impl Unknown {
    pub const ALL: [Self; 3] = [Self::Missing, Self::Unsupported, Self::Wrong];

    /// The value of the `reason` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unsupported => "unsupported",
            Self::Wrong => "wrong",
        }
    }
}

/// Secrets by their digests.
pub struct Keyring {
    key: hmac::Key,
    holders: HashMap<Digest, Arc<Identity>>,
    api_key_header: Option<HeaderName>,
    /// What a client is told that it may show (RFC 9110, 11.6.1).
    pub challenges: Vec<HeaderValue>,
    schemes: Vec<Scheme>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("holders", &self.holders.len()).finish_non_exhaustive()
    }
}

impl Default for Keyring {
    /// No secrets: nobody gets in.
    fn default() -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &rand::rng().random::<Digest>());
        let (challenges, schemes) = (Vec::new(), Vec::new());
        Self { key, holders: HashMap::new(), api_key_header: None, challenges, schemes }
    }
}

impl Keyring {
    /// Reads the files of `config`.
    ///
    /// # Errors
    /// All that is wrong, each with its setting. Nothing of a secret is part of it.
    pub fn load(config: &AuthConfig) -> Result<Self, Vec<(&'static str, String)>> {
        let mut ring = Self::default();
        let mut faults = Vec::new();
        let files = [
            ("bearer_file", &config.bearer_file, Scheme::Bearer),
            ("basic_file", &config.basic_file, Scheme::Basic),
            ("api_key_file", &config.api_key_file, Scheme::ApiKey),
        ];
        for (setting, file, scheme) in files {
            if let Some(file) = file {
                ring.schemes.push(scheme);
                ring.challenges.push(HeaderValue::from_static(scheme.challenge()));
                if let Err(why) = ring.add(file, scheme) {
                    faults.push((setting, format!("`{}`: {why}", file.display())));
                }
            }
        }
        if ring.schemes.is_empty() {
            let why = "name `bearer_file`, `basic_file` or `api_key_file`, else nobody gets in".to_owned();
            faults.push(("", why));
        }
        match HeaderName::try_from(&config.api_key_header) {
            Ok(name) if name == AUTHORIZATION => {
                faults.push((
                    "api_key_header",
                    "`Authorization` is where a scheme stands before the key".to_owned(),
                ));
            }
            Ok(name) if ring.accepts(Scheme::ApiKey) => ring.api_key_header = Some(name),
            Ok(_) => {}
            Err(_) => faults.push(("api_key_header", "is no name of a header".to_owned())),
        }
        if faults.is_empty() { Ok(ring) } else { Err(faults) }
    }

    /// Adds the secrets of a file.
    fn add(&mut self, file: &Path, scheme: Scheme) -> Result<(), String> {
        let bytes = read(file).map_err(|error| format!("cannot be read: {error}"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8".to_owned())?;
        let before = self.holders.len();
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let named = line.split_once(':').map(|(name, secret)| (name.trim(), secret.trim()));
            let (name, secret) = match (scheme, named) {
                // As clients send it: user and password together.
                (Scheme::Basic, Some((user, password))) if !user.is_empty() && !password.is_empty() => {
                    (user.to_owned(), STANDARD.encode(line))
                }
                (Scheme::Basic, _) => return Err(format!("line {at} is no `user:password`")),
                (_, Some((name, secret))) => (name.to_owned(), secret.to_owned()),
                (_, None) => (format!("line {at}"), line.to_owned()),
            };
            if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("line {at} holds no secret that a header can carry"));
            }
            let holder = Identity { proof: scheme.proof(), name };
            if self.holders.insert(self.digest(scheme, secret.as_bytes()), Arc::new(holder)).is_some() {
                return Err(format!("line {at} holds a secret that another line has as well"));
            }
        }
        if self.holders.len() == before { Err("holds no secret".to_owned()) } else { Ok(()) }
    }

    /// Whose request it is.
    ///
    /// # Errors
    /// Why nobody is known by it.
    pub fn holder(&self, headers: &HeaderMap) -> Result<&Arc<Identity>, Unknown> {
        let own = self.api_key_header.as_ref().and_then(|name| headers.get(name));
        let (scheme, secret) = match own {
            Some(key) => (Scheme::ApiKey, key.as_bytes()),
            None => {
                let shown = headers.get(AUTHORIZATION).ok_or(Unknown::Missing)?;
                Scheme::parse(shown.as_bytes()).ok_or(Unknown::Unsupported)?
            }
        };
        if !self.accepts(scheme) {
            return Err(Unknown::Unsupported);
        }
        self.holders.get(&self.digest(scheme, secret)).ok_or(Unknown::Wrong)
    }

    fn accepts(&self, scheme: Scheme) -> bool {
        self.schemes.contains(&scheme)
    }

    fn digest(&self, scheme: Scheme, secret: &[u8]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[scheme as u8]);
        context.update(secret);
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

impl Scheme {
    /// Reads a header `Authorization` (RFC 9110, 11.6.2): the scheme, in any case, and what it shows.
    fn parse(shown: &[u8]) -> Option<(Self, &[u8])> {
        let end = shown.iter().position(|byte| *byte == b' ')?;
        let (name, secret) = (&shown[..end], shown[end..].trim_ascii());
        let all = [(&b"bearer"[..], Self::Bearer), (b"basic", Self::Basic), (b"apikey", Self::ApiKey)];
        let (_, scheme) = all.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
        Some((scheme, secret))
    }

    const fn challenge(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer realm=\"forebay\"",
            Self::Basic => "Basic realm=\"forebay\", charset=\"UTF-8\"",
            Self::ApiKey => "ApiKey realm=\"forebay\"",
        }
    }

    const fn proof(self) -> Proof {
        match self {
            Self::Bearer => Proof::Token,
            Self::Basic => Proof::Password,
            Self::ApiKey => Proof::ApiKey,
        }
    }
}
