//! Files of certificates and keys: what is said of bad ones, and what is read from good ones.

use super::certs::{Authority, Files, Pair};
use super::*;
use crate::receivers::tls::certificate;
use crate::receivers::tls::config::{ClientAuth, TlsConfig};
use rcgen::{DnType, SanType, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The settings that are at fault, and why.
fn faults(tls: &TlsConfig) -> Vec<(&'static str, String)> {
    tls.faults()
}

fn der(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

#[test]
fn what_is_wrong_with_the_files_is_said_of_the_setting_that_names_them() {
    let files = Files::new();
    assert_eq!(faults(&files.settings()), []);
    let other = files.authority.server(2);
    let expired = files.authority.issue(|params| params.not_after = date_time_ymd(2020, 1, 31));
    let early = files.authority.issue(|params| params.not_before = date_time_ymd(3000, 1, 1));
    let good = files.authority.server(3);
    let cases: [(&str, &str, &str, &str); 7] = [
        ("tls.key", &other.key, "key_file", "is not the key of the certificate"),
        ("tls.key", "-----BEGIN PRIVATE KEY-----\nsecret", "key_file", "is not PEM"),
        ("tls.key", &good.certificate, "key_file", "holds no private key"),
        ("tls.crt", "hello", "cert_file", "holds no certificate"),
        ("tls.crt", &good.key, "cert_file", "holds no certificate"),
        ("tls.crt", &expired.certificate, "cert_file", "expired at 2020-01-31T00:00:00Z"),
        ("tls.crt", &early.certificate, "cert_file", "is valid only from 3000-01-01T00:00:00Z"),
    ];
    for (file, text, setting, why) in cases {
        files.put(&good);
        files.write(file, text);
        let found = faults(&files.settings());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == setting && found[0].1.contains(why), "{found:?}");
        assert!(!found[0].1.contains("secret"), "{found:?}");
    }
}

#[test]
fn all_faults_are_found_at_once() {
    let files = Files::new();
    let nowhere = files.folder().join("nowhere");
    let tls = TlsConfig {
        cert_file: nowhere.clone(),
        key_file: nowhere.clone(),
        client_ca_file: Some(nowhere),
        handshake_timeout: Period::secs(0),
        ..files.mutual(ClientAuth::Required)
    };
    let settings: Vec<&str> = faults(&tls).into_iter().map(|(setting, _)| setting).collect();
    assert_eq!(settings, ["cert_file", "key_file", "client_ca_file", "handshake_timeout"]);
    let without = TlsConfig { client_ca_file: None, ..files.mutual(ClientAuth::Required) };
    let unused = files.mutual(ClientAuth::None);
    for tls in [without, unused] {
        assert_eq!(faults(&tls)[0].0, "client_auth");
    }
}

#[test]
fn a_certificate_is_read_as_it_was_written() {
    let authority = Authority::new();
    let issue = |sans: &[SanType]| {
        authority.issue(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "people");
            params.distinguished_name.push(DnType::CommonName, "the subject");
            params.subject_alt_names = sans.to_vec();
            params.not_before = date_time_ymd(2001, 2, 3);
            params.not_after = date_time_ymd(2051, 2, 3);
        })
    };
    let dns = SanType::DnsName("agent.example".try_into().unwrap());
    let spiffe = SanType::URI("spiffe://example/agent".try_into().unwrap());
    let address = SanType::IpAddress([10, 0, 0, 1].into());
    let cases = [
        (&[][..], "the subject"),
        (std::slice::from_ref(&address), "the subject"),
        (&[address.clone(), spiffe, dns.clone()], "spiffe://example/agent"),
        (&[dns], "agent.example"),
    ];
    for (sans, name) in cases {
        let certificate = der(&issue(sans));
        assert_eq!(certificate::name(&certificate).as_deref(), Some(name));
        let validity = certificate::validity(&certificate).unwrap();
        assert_eq!((validity.not_before, validity.not_after), (981_158_400, 2_558_995_200));
    }
}

/// Cut or bent, it is refused and nothing panics.
#[test]
fn no_bytes_make_the_reader_of_certificates_panic() {
    let certificate = der(&Authority::new().client("whoever")).to_vec();
    for len in 0..certificate.len() {
        assert_eq!(certificate::validity(&certificate[..len]), None, "{len}");
        certificate::name(&certificate[..len]);
    }
    for at in 0..certificate.len() {
        for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut bent = certificate.clone();
            bent[at] = byte;
            certificate::validity(&bent);
            certificate::name(&bent);
        }
    }
}
