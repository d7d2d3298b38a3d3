//! What the certificate of a challenge must say (RFC 8737 §3, RFC 8738 §6).

use std::net::IpAddr;

use domain::Identifier;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension, X509Extension},
    oid_registry::{OID_X509_EXT_SUBJECT_ALT_NAME, Oid},
    prelude::FromDer as _,
};

/// id-pe-acmeIdentifier, 1.3.6.1.5.5.7.1.31; the one of the drafts, .30.1, is not accepted.
const ACME_IDENTIFIER: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 1, 31];
/// The head of a DER OCTET STRING of 32 octets.
const DIGEST_HEAD: [u8; 2] = [0x04, 32];

/// Why a certificate is not the challenge's; the messages repeat nothing of it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum WrongCertificate {
    #[error("it is not a DER certificate")]
    Malformed,
    #[error("it does not have exactly one subjectAltName extension")]
    NamesExtension,
    #[error("it names something else, or more than one thing")]
    Names,
    #[error("it does not have exactly one acmeIdentifier extension (1.3.6.1.5.5.7.1.31)")]
    NoAcmeIdentifier,
    #[error("its acmeIdentifier extension is not critical")]
    NotCritical,
    #[error("its acmeIdentifier extension does not hold the digest of the key authorization")]
    Digest,
}

/// Checks a certificate against the identifier and the SHA-256 digest of the key authorization.
pub(super) fn check(
    der: &[u8],
    identifier: &Identifier,
    digest: &[u8],
) -> Result<(), WrongCertificate> {
    let Ok(([], certificate)) = X509Certificate::from_der(der) else {
        return Err(WrongCertificate::Malformed);
    };
    let extensions = certificate.extensions();
    let names = only(extensions, &OID_X509_EXT_SUBJECT_ALT_NAME);
    let names = names.ok_or(WrongCertificate::NamesExtension)?;
    if !is_only_name(names, identifier) {
        return Err(WrongCertificate::Names);
    }
    let acme = only(extensions, &Oid::new((&ACME_IDENTIFIER).into()));
    let acme = acme.ok_or(WrongCertificate::NoAcmeIdentifier)?;
    if !acme.critical {
        return Err(WrongCertificate::NotCritical);
    }
    if acme.value != [&DIGEST_HEAD, digest].concat() {
        return Err(WrongCertificate::Digest);
    }
    Ok(())
}

/// The extension of a kind, if there is exactly one.
fn only<'a>(extensions: &'a [X509Extension<'a>], kind: &Oid<'_>) -> Option<&'a X509Extension<'a>> {
    let mut found = extensions.iter().filter(|extension| extension.oid == *kind);
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

fn is_only_name(extension: &X509Extension<'_>, identifier: &Identifier) -> bool {
    let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
        return false;
    };
    match (names.general_names.as_slice(), identifier) {
        ([GeneralName::DNSName(name)], Identifier::Dns(expected)) => {
            name.eq_ignore_ascii_case(expected.base().as_str())
        }
        ([GeneralName::IPAddress(octets)], Identifier::Ip(expected)) => match expected.address() {
            IpAddr::V4(address) => *octets == address.octets(),
            IpAddr::V6(address) => *octets == address.octets(),
        },
        _ => false,
    }
}
