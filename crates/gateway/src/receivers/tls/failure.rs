//! Why a handshake failed: few words, so that they can be a label.

use rustls::{Error, PeerIncompatible};
use std::io;

/// The first byte of a TLS connection: a record of type `handshake` (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Failure {
    /// The client does not speak TLS.
    Plaintext,
    /// It took too long.
    Timeout,
    /// The client speaks older versions only.
    Version,
    /// There is no cipher suite, key exchange or application protocol that both sides know.
    Incompatible,
    /// A certificate is required, and the client has none.
    NoCertificate,
    /// The client's certificate is not signed by an authority that is trusted, has expired, or is not its own.
    BadCertificate,
    /// The client does not trust the server's certificate, or ended the handshake for another reason.
    Alert,
    /// The client went away.
    Closed,
    /// The client broke the protocol.
    Protocol,
}

impl Failure {
    pub const ALL: [Self; 9] = [
        Self::Plaintext,
        Self::Timeout,
        Self::Version,
        Self::Incompatible,
        Self::NoCertificate,
        Self::BadCertificate,
        Self::Alert,
        Self::Closed,
        Self::Protocol,
    ];

    /// The value of the `reason` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Timeout => "timeout",
            Self::Version => "version",
            Self::Incompatible => "incompatible",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::Alert => "alert",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
        }
    }

    /// What this error means, of a connection that began with the byte `first`.
    pub fn of(error: &io::Error, first: u8) -> Self {
        // `SignatureAlgorithmsExtensionRequired` is what rustls misses first in the greeting of a client that knows no TLS 1.2.
        use PeerIncompatible::{
            SignatureAlgorithmsExtensionRequired, SupportedVersionsExtensionRequired, Tls12NotOffered,
            Tls12NotOfferedOrEnabled,
        };
        if first != HANDSHAKE {
            return Self::Plaintext;
        }
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(Error::InvalidCertificate(_)) => Self::BadCertificate,
            Some(Error::AlertReceived(_)) => Self::Alert,
            Some(Error::PeerIncompatible(
                Tls12NotOffered
                | Tls12NotOfferedOrEnabled
                | SupportedVersionsExtensionRequired
                | SignatureAlgorithmsExtensionRequired,
            )) => Self::Version,
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Self::Incompatible,
            Some(_) => Self::Protocol,
            None => Self::Closed,
        }
    }
}
