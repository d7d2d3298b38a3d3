//! The values the examples share: one account, one order of two names, one certificate.

use domain::{
    AccountId, AccountKey, CaaEvidence, Evidence, ExternalKeyId, Hop, Identifier, IssuerId,
    NamePattern, OrderId, PreAuthorizationId, ProfileName, Serial, SubjectPublicKey, Thumbprint,
    Timestamp,
};

/// 2026-01-01T12:00:00Z.
const START: i64 = 1_767_268_800;
const DAY: i64 = 24 * 60 * 60;

pub(super) const TOKEN: &str = "DGyRejmCefe7v4NfDGDKfA";
pub(super) const THUMBPRINT: &str = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";
/// The beginning of a DER value; examples show the form, not a certificate.
pub(super) const DER: &str = "MIIBszCCAVmgAwIBAgIRAQ";

pub(crate) fn account() -> AccountId {
    AccountId::from_hash(&[0x11; 32])
}

pub(super) fn account_key() -> AccountKey {
    let jwk = r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    AccountKey { jwk: jwk.to_owned(), thumbprint: Thumbprint(THUMBPRINT.to_owned()) }
}

pub(super) fn external_key() -> ExternalKeyId {
    ExternalKeyId::from_random(&[0x55; 16])
}

/// One name, and all below another.
pub(super) fn names() -> Vec<NamePattern> {
    [".example.com", "example.org"].into_iter().filter_map(|name| name.parse().ok()).collect()
}

pub(super) fn contact() -> Vec<String> {
    vec!["mailto:admin@example.com".to_owned()]
}

pub(super) fn profile() -> ProfileName {
    ProfileName::default()
}

pub(crate) fn order() -> OrderId {
    OrderId::new(5, &[0x22; 16])
}

pub(crate) fn pre_authorization() -> PreAuthorizationId {
    PreAuthorizationId::from_random(&[0x66; 16])
}

pub(super) fn issuer() -> IssuerId {
    IssuerId::from_hash(&[0x33; 32])
}

pub(super) fn serial() -> Serial {
    Serial::from_random(&[0x44; 16])
}

pub(super) fn public_key() -> SubjectPublicKey {
    let der = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3-257rn0s2ldbqkLJK2KRiMohYjlrQ";
    SubjectPublicKey(der.to_owned())
}

/// The name itself, and every name below it.
pub(super) fn identifiers() -> Vec<Identifier> {
    ["www.example.com", "*.example.com"].into_iter().filter_map(identifier).collect()
}

pub(super) fn identifier(name: &str) -> Option<Identifier> {
    name.parse().ok().map(Identifier::Dns)
}

/// The name that is proven in the examples of validations.
pub(super) fn proven() -> Identifier {
    identifiers().remove(0)
}

/// A time so many seconds after the examples begin.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

pub(super) fn days(days: i64) -> Timestamp {
    at(days * DAY)
}

fn caa() -> CaaEvidence {
    CaaEvidence {
        found_at: Some("example.com".to_owned()),
        records: vec!["0 issue \"ca.example\"".to_owned()],
        dnssec: Some("insecure".to_owned()),
    }
}

/// What a look at CAA alone saw.
pub(super) fn caa_evidence() -> Evidence {
    Evidence { records: Vec::new(), hops: Vec::new(), dnssec: None, ..evidence(None) }
}

pub(super) fn evidence(status: Option<u16>) -> Evidence {
    Evidence {
        perspective: "local".to_owned(),
        resolver: "192.0.2.53:53".to_owned(),
        records: vec!["www.example.com. A 192.0.2.80".to_owned()],
        hops: vec![Hop {
            url: format!("http://www.example.com/.well-known/acme-challenge/{TOKEN}"),
            address: "192.0.2.80:80".to_owned(),
            status,
        }],
        handshakes: Vec::new(),
        dnssec: Some("insecure".to_owned()),
        caa: Some(caa()),
        duration_millis: 12,
    }
}
