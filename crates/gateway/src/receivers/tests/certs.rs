//! Certificates of our own making, in files, and clients that show or trust them.

use super::*;
use crate::receivers::tls::config::{ClientAuth, MinVersion, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, SerialNumber};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Signs certificates.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for this server on the loopback address.
    pub fn server(&self, serial: u64) -> Pair {
        self.issue(|params| {
            params.serial_number = Some(SerialNumber::from(serial));
            params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        })
    }

    /// A client's certificate, with this common name.
    pub fn client(&self, name: &str) -> Pair {
        self.issue(|params| params.distinguished_name.push(DnType::CommonName, name))
    }

    /// A certificate as `change` wants it.
    pub fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// The files of one server.
pub struct Files {
    folder: TempDir,
    pub authority: Authority,
}

impl Files {
    pub fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new() };
        files.put(&files.authority.server(1));
        files.write("ca.crt", files.authority.pem());
        files
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).unwrap();
    }

    /// Replaces the server's certificate and key.
    pub fn put(&self, pair: &Pair) {
        self.write("tls.crt", &pair.certificate);
        self.write("tls.key", &pair.key);
    }

    /// Settings with these files.
    pub fn settings(&self) -> TlsConfig {
        TlsConfig {
            cert_file: self.folder().join("tls.crt"),
            key_file: self.folder().join("tls.key"),
            client_ca_file: None,
            client_auth: ClientAuth::None,
            min_version: MinVersion::Tls12,
            handshake_timeout: Period::secs(5),
        }
    }

    /// Settings that ask clients for a certificate of the authority's.
    pub fn mutual(&self, client_auth: ClientAuth) -> TlsConfig {
        TlsConfig { client_ca_file: Some(self.folder().join("ca.crt")), client_auth, ..self.settings() }
    }

    /// A client that trusts the authority and shows `own`, if there is one.
    pub fn trusting(&self, own: Option<&Pair>) -> ClientConfig {
        client(&self.authority, own, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    /// The same with one version only.
    pub fn speaking(&self, version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
        client(&self.authority, None, &[version])
    }
}

fn client(
    authority: &Authority,
    own: Option<&Pair>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some(Pair { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                .unwrap()
        }
    }
}

/// Shakes hands as a client.
pub async fn shake(address: SocketAddr, client: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::new(client)).connect(name, stream).await
}

/// The serial number of the certificate that the server shows.
pub async fn serial(address: SocketAddr, client: ClientConfig) -> u64 {
    let stream = shake(address, client).await.unwrap();
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    // version [0] {2}, then the serial number, an INTEGER of one or two bytes here: SEQUENCE SEQUENCE [0] INTEGER.
    let at = certificate.windows(5).position(|bytes| bytes == [0xa0, 3, 2, 1, 2]).unwrap() + 5;
    let len = usize::from(certificate[at + 1]);
    certificate[at + 2..at + 2 + len].iter().fold(0, |serial, byte| serial << 8 | u64::from(*byte))
}
