//! What makes clients refuse a certificate that the server can use, and when.

use domain::Timestamp;
use runtime::metrics::names;
use rustls::{client::verify_server_name, server::ParsedCertificate, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, ServerName};
use x509_parser::{
    prelude::{FromDer as _, X509Certificate},
    time::ASN1Time,
};

/// Why clients of a host would refuse the certificate now, as far as the certificate itself tells.
pub(super) fn doubts(certificate: &CertificateDer<'_>, host: &str, now: Timestamp) -> Vec<String> {
    let mut doubts = Vec::new();
    let named = ServerName::try_from(host).is_ok_and(|host| {
        ParsedCertificate::try_from(certificate)
            .is_ok_and(|certificate| verify_server_name(&certificate, &host).is_ok())
    });
    if !named {
        doubts.push(format!("it is not for {host}, the host of api.base_url"));
    }
    if let Some((from, until)) = validity(certificate) {
        if now < from {
            doubts.push(format!("it is not valid before {from}"));
        }
        if until < now {
            doubts.push(format!("it ended at {until}"));
        }
    }
    doubts
}

/// From when and until when a certificate is valid.
fn validity(certificate: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    let at = |time: ASN1Time| Timestamp::from_unix_seconds(time.timestamp());
    Some((at(validity.not_before), at(validity.not_after)))
}

/// Shows when the certificate that clients get ends.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into a double")]
pub(super) fn measure(certificate: &CertifiedKey) {
    let own = certificate.cert.first();
    if let Some((_, until)) = own.and_then(validity) {
        metrics::gauge!(names::TLS_NOT_AFTER).set(until.unix_seconds() as f64);
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_for_another_host_or_another_time_is_doubted() {
        let mut params =
            CertificateParams::new(["ca.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 2, 1));
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let doubts = |host: &str, at: &str| doubts(made.der(), host, at.parse().unwrap());
        for host in ["ca.example", "192.0.2.1"] {
            assert!(doubts(host, "2026-01-15T00:00:00Z").is_empty(), "{host}");
        }
        for host in ["www.ca.example", "192.0.2.2", "2001:db8::1"] {
            let expected = format!("it is not for {host}, the host of api.base_url");
            assert_eq!(doubts(host, "2026-01-15T00:00:00Z"), [expected]);
        }
        let ended = "it ended at 2026-02-01T00:00:00Z";
        assert_eq!(doubts("ca.example", "2026-02-01T00:00:01Z"), [ended]);
        let early = "it is not valid before 2026-01-01T00:00:00Z";
        assert_eq!(doubts("ca.example", "2025-12-31T23:59:59Z"), [early]);
    }
}
