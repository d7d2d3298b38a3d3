//! The entries of the ledger, and revocations.

use domain::certificate::{
    ActiveCertificateEvent, BlockedKeyEvent, CertRevoked, CertificateActivated, CertificateSigned,
    CrlDivided, CrlDivisionEvent, KeyBlocked, LedgerEvent, RevocationEvent, RevocationReason,
    SerialBurned, SerialReserved,
};
use domain::{CrlShards, KeyHash};

use super::{EventSchema, event, samples};
use crate::failure::Failure;

pub(super) fn events() -> Vec<Result<EventSchema, Failure>> {
    let reserved = SerialReserved {
        issuer: samples::issuer(),
        serial: samples::serial(),
        order: Some(samples::order()),
        account: Some(samples::account()),
        profile: Some(samples::profile()),
        identifiers: samples::identifiers(),
        tbs: samples::DER.to_owned(),
        not_before: samples::at(0),
        not_after: samples::days(90),
    };
    let signed = CertificateSigned {
        issuer: samples::issuer(),
        serial: samples::serial(),
        order: Some(samples::order()),
        account: Some(samples::account()),
        profile: Some(samples::profile()),
        certificate: samples::DER.to_owned(),
        chain: vec![samples::DER.to_owned()],
        alternates: vec![vec![samples::DER.to_owned()]],
        not_after: samples::days(90),
    };
    let burned = SerialBurned {
        issuer: samples::issuer(),
        serial: samples::serial(),
        not_after: samples::days(90),
    };
    let revoked = CertRevoked {
        issuer: samples::issuer(),
        serial: samples::serial(),
        reason: RevocationReason::KeyCompromise,
        at: samples::days(1),
        not_after: samples::days(90),
    };
    let divided = CrlDivided {
        issuer: samples::issuer(),
        shards: CrlShards::try_from(16).unwrap_or(CrlShards::UNDIVIDED),
        base_url: "https://acme.example.com/crl".to_owned(),
        at: samples::at(0),
    };
    let blocked = KeyBlocked {
        key: KeyHash::from_hash(&[0x55; 32]),
        issuer: samples::issuer(),
        serial: samples::serial(),
        at: samples::days(1),
    };
    let activated = CertificateActivated {
        profile: samples::profile(),
        issuer: samples::issuer(),
        serial: samples::serial(),
        ledger_sequence: 7,
        not_after: samples::days(90),
    };
    vec![
        event(LedgerEvent::SerialReserved, reserved),
        event(LedgerEvent::CertificateSigned, signed),
        event(LedgerEvent::SerialBurned, burned),
        event(RevocationEvent::CertRevoked, revoked),
        event(CrlDivisionEvent::CrlDivided, divided),
        event(BlockedKeyEvent::KeyBlocked, blocked),
        event(ActiveCertificateEvent::CertificateActivated, activated),
    ]
}
