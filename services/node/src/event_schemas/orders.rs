//! The events of an order, in the order in which they happen.

use domain::{
    ChallengeType, Failure as OrderFailure, FailureKind,
    order::{
        AuthorizationDeactivated, AuthorizationIndex, AuthorizationPlaced, CaaCheckFailed,
        CaaCheckNeeded, CaaChecked, CertificateIssued, CertificateReserved, ChallengeAttemptFailed,
        ChallengeFailed, ChallengePlaced, ChallengeReady, ChallengeValidated, Event,
        IssuanceFailed, OrderFinalized, OrderPlaced, ReliedOn, ReservationBurned,
    },
};

use super::{EventSchema, event, samples};
use crate::failure::Failure;

const FIRST: AuthorizationIndex = AuthorizationIndex(0);
const SECOND: AuthorizationIndex = AuthorizationIndex(1);
/// Where the ledger of the examples holds reservation and certificate.
const LEDGER_SEQUENCES: (u64, u64) = (41, 42);

pub(super) fn events() -> Vec<Result<EventSchema, Failure>> {
    let (reserved_at, issued_at) = LEDGER_SEQUENCES;
    let burned = ReservationBurned { issuer: samples::issuer(), serial: samples::serial() };
    vec![
        event(Event::OrderPlaced, placed()),
        event(Event::ChallengeReady, ready()),
        event(Event::ChallengeValidated, validated()),
        event(Event::ChallengeFailed, failed()),
        event(Event::ChallengeAttemptFailed, attempt_failed()),
        event(Event::AuthorizationDeactivated, AuthorizationDeactivated { authorization: SECOND }),
        event(Event::OrderFinalized, finalized()),
        event(Event::CaaCheckNeeded, caa_needed()),
        event(Event::CaaChecked, caa_checked()),
        event(Event::CaaCheckFailed, caa_failed()),
        event(
            Event::CertificateReserved,
            CertificateReserved {
                issuer: samples::issuer(),
                serial: samples::serial(),
                ledger_sequence: reserved_at,
            },
        ),
        event(Event::ReservationBurned, burned),
        event(
            Event::CertificateIssued,
            CertificateIssued {
                issuer: samples::issuer(),
                serial: samples::serial(),
                ledger_sequence: issued_at,
                at: samples::at(5),
            },
        ),
        event(Event::IssuanceFailed, issuance_failed()),
    ]
}

fn placed() -> OrderPlaced {
    let identifiers = samples::identifiers();
    let authorizations = identifiers.iter().map(|identifier| AuthorizationPlaced {
        relies_on: (*identifier == samples::proven()).then(relied_on),
        identifier: identifier.authorized(),
        wildcard: identifier.is_wildcard(),
        challenges: ChallengeType::ALL
            .into_iter()
            .filter(|kind| kind.proves(identifier.kind()))
            .filter(|kind| kind.proves_wildcards() == identifier.is_wildcard())
            .take(1)
            .map(|kind| ChallengePlaced { kind, token: samples::TOKEN.to_owned() })
            .collect(),
    });
    OrderPlaced {
        id: samples::order(),
        profile: samples::profile(),
        account: samples::account(),
        authorizations: authorizations.collect(),
        identifiers,
        not_before: Some(samples::at(0)),
        not_after: Some(samples::days(90)),
        at: samples::at(1),
        expires_at: samples::days(1),
    }
}

/// The first name was proven before.
fn relied_on() -> ReliedOn {
    ReliedOn {
        id: samples::pre_authorization(),
        validated_at: samples::at(0),
        caa_checked_at: Some(samples::at(0)),
        expires_at: samples::days(1),
    }
}

fn ready() -> ChallengeReady {
    ChallengeReady {
        authorization: FIRST,
        challenge: ChallengeType::Http01,
        identifier: samples::proven(),
        wildcard: false,
        round: 1,
        token: samples::TOKEN.to_owned(),
        key_authorization: format!("{}.{}", samples::TOKEN, samples::THUMBPRINT),
        account: samples::account(),
        profile: samples::profile(),
    }
}

fn validated() -> ChallengeValidated {
    ChallengeValidated {
        authorization: FIRST,
        challenge: ChallengeType::Http01,
        identifier: samples::proven(),
        at: samples::at(2),
        evidence: samples::evidence(Some(200)),
    }
}

fn failed() -> ChallengeFailed {
    ChallengeFailed {
        authorization: FIRST,
        challenge: ChallengeType::Http01,
        identifier: samples::proven(),
        at: samples::at(2),
        failure: OrderFailure::new(FailureKind::Connection, "the connection was refused"),
        evidence: samples::evidence(None),
    }
}

fn attempt_failed() -> ChallengeAttemptFailed {
    let ChallengeFailed { authorization, challenge, identifier, at, failure, evidence } = failed();
    let retry_at = samples::at(4);
    ChallengeAttemptFailed { authorization, challenge, identifier, at, retry_at, failure, evidence }
}

fn caa_needed() -> CaaCheckNeeded {
    CaaCheckNeeded {
        authorization: FIRST,
        challenge: ChallengeType::Http01,
        identifier: samples::proven(),
        wildcard: false,
        account: samples::account(),
        profile: samples::profile(),
    }
}

fn caa_checked() -> CaaChecked {
    CaaChecked {
        authorization: FIRST,
        identifier: samples::proven(),
        at: samples::at(4),
        evidence: samples::caa_evidence(),
    }
}

fn caa_failed() -> CaaCheckFailed {
    let detail = "the CAA records of example.com forbid issuance: none of them names this CA";
    CaaCheckFailed {
        authorization: FIRST,
        identifier: samples::proven(),
        at: samples::at(4),
        failure: OrderFailure::new(FailureKind::Caa, detail),
        evidence: samples::caa_evidence(),
    }
}

fn finalized() -> OrderFinalized {
    OrderFinalized {
        public_key: samples::public_key(),
        identifiers: samples::identifiers(),
        common_name: Some("www.example.com".to_owned()),
        not_before: Some(samples::at(0)),
        not_after: Some(samples::days(90)),
        account: samples::account(),
        profile: samples::profile(),
        at: samples::at(3),
    }
}

fn issuance_failed() -> IssuanceFailed {
    let detail = "the requested validity ends after the issuer's";
    IssuanceFailed {
        failure: OrderFailure::new(FailureKind::ServerInternal, detail),
        at: samples::at(4),
    }
}
