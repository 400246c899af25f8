//! Certificates and keys, from files to what rustls needs.

use super::certificate::{self, Validity};
use super::config::{ClientAuth, MinVersion, TlsConfig};
use forebay_pipeline::time;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

/// The largest file of certificates, keys or secrets, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// The versions from the older on, and the newer alone.
const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const NEWER: &[&SupportedProtocolVersion] = &[&TLS13];

/// What new connections are served with.
#[derive(Debug)]
pub struct Loaded {
    pub config: Arc<ServerConfig>,
    /// When the first certificate of the chain expires, in seconds since 1970.
    pub not_after: i64,
}

/// A setting, and what is wrong with the file that it names.
pub type Fault = (&'static str, String);

/// Reads the files of `config`. `protocols` are those that are agreed on inside TLS (RFC 7301), the best first; none: whatever the client says.
///
/// # Errors
/// All that is wrong with the files. Nothing of a key is part of it.
pub fn load(config: &TlsConfig, protocols: &[Vec<u8>]) -> Result<Loaded, Vec<Fault>> {
    let provider = Arc::new(ring::default_provider());
    let chain = chain(&config.cert_file).map_err(|why| ("cert_file", why));
    let key = key(&config.key_file).map_err(|why| ("key_file", why));
    let clients = clients(config, &provider);
    let ((chain, not_after), key, clients) = match (chain, key, clients) {
        (Ok(chain), Ok(key), Ok(clients)) => (chain, key, clients),
        (chain, key, clients) => {
            return Err([chain.err(), key.err(), clients.err()].into_iter().flatten().collect());
        }
    };
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| vec![unusable(&error)])?;
    let versions = match config.min_version {
        MinVersion::Tls12 => BOTH,
        MinVersion::Tls13 => NEWER,
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| vec![("min_version", error.to_string())])?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    server.alpn_protocols = protocols.to_vec();
    Ok(Loaded { config: Arc::new(server), not_after })
}

/// The file's bytes.
///
/// # Errors
/// It is not there, not ours to read, or too large to be what it should be.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("the file is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

/// The certificates of a file, and when the first of them expires.
fn chain(path: &Path) -> Result<(Vec<CertificateDer<'static>>, i64), String> {
    let chain = certificates(path)?;
    let now = time::now() / 1_000_000_000;
    let mut first = i64::MAX;
    for (at, certificate) in chain.iter().enumerate() {
        let Validity { not_before, not_after } = certificate::validity(certificate)
            .ok_or_else(|| format!("certificate {} of `{}` cannot be read", at + 1, path.display()))?;
        let is_wrong = |why: &str, when| {
            let (path, number) = (path.display(), at + 1);
            Err(format!("certificate {number} of `{path}` {why} {}", certificate::date(when)))
        };
        if not_after < now {
            return is_wrong("expired at", not_after);
        }
        if not_before > now {
            return is_wrong("is valid only from", not_before);
        }
        first = first.min(not_after);
    }
    Ok((chain, first))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|_| format!("`{}` is not PEM", path.display()))?;
    if found.is_empty() {
        return Err(format!("`{}` holds no certificate in PEM", path.display()));
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound => {
            format!("`{}` holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, unencrypted)", path.display())
        }
        // What the error says may be a part of the key.
        _ => format!("`{}` is not PEM", path.display()),
    })
}

/// What verifies the certificates of clients, if they are asked for.
fn clients(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, Fault> {
    let path = match (&config.client_ca_file, config.client_auth) {
        (None, ClientAuth::None) => return Ok(None),
        (Some(_), ClientAuth::None) => {
            let why = "with a `client_ca_file`, say `optional` or `required`, else no client is asked";
            return Err(("client_auth", why.to_owned()));
        }
        (None, _) => return Err(("client_auth", "needs `client_ca_file` to know whom to trust".to_owned())),
        (Some(path), _) => path,
    };
    let bad = |why| ("client_ca_file", why);
    let mut roots = RootCertStore::empty();
    for (at, certificate) in certificates(path).map_err(bad)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            bad(format!("certificate {} of `{}` cannot be used: {error}", at + 1, path.display()))
        })?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if config.client_auth == ClientAuth::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(|error| bad(error.to_string()))
}

/// Why a certificate and a key do not go together.
fn unusable(error: &Error) -> Fault {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            ("key_file", "is not the key of the certificate in `cert_file`".to_owned())
        }
        Error::InvalidCertificate(_) => ("cert_file", error.to_string()),
        _ => ("key_file", format!("holds a key that cannot be used: {error}")),
    }
}
