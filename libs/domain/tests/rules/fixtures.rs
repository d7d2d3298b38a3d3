//! One order of two names, one of them a wildcard, and the events it goes through.

use domain::{
    AccountId, Aggregate, ChallengeType, Evidence, Failure, FailureKind, Identifier, IssuerId,
    OrderId, Serial, SubjectPublicKey, Thumbprint, Timestamp,
    order::{
        AuthorizationIndex, AuthorizationPlaced, CertificateIssued, CertificateReserved,
        ChallengeAttemptFailed, ChallengeFailed, ChallengePlaced, ChallengeReady,
        ChallengeValidated, Command, Event, IssuanceFailed, Order, OrderFinalized, OrderPlaced,
        Rejection, ReservationBurned, State,
    },
};

pub(crate) const HTTP: ChallengeType = ChallengeType::Http01;
pub(crate) const DNS: ChallengeType = ChallengeType::Dns01;

pub(crate) fn check(given: &[Event], when: &Command, then: &Result<Vec<Event>, Rejection>) {
    assert_eq!(&Order::decide(state(given).as_ref(), when), then);
}

pub(crate) fn state(given: &[Event]) -> Option<State> {
    Order::fold(None, given)
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

/// When the order expires.
pub(crate) const EXPIRES: i64 = 1000;

pub(crate) fn index(index: u16) -> AuthorizationIndex {
    AuthorizationIndex(index)
}

pub(crate) fn name(text: &str) -> Identifier {
    Identifier::Dns(text.parse().unwrap())
}

pub(crate) fn account() -> AccountId {
    AccountId::from_hash(&[1; 32])
}

pub(crate) fn order_placed() -> OrderPlaced {
    let authorization = |text: &str, wildcard, kinds: &[ChallengeType]| AuthorizationPlaced {
        identifier: name(text),
        wildcard,
        challenges: kinds
            .iter()
            .map(|kind| ChallengePlaced { kind: *kind, token: format!("token-{text}") })
            .collect(),
        relies_on: None,
    };
    OrderPlaced {
        id: OrderId::new(3, &[7; 16]),
        profile: "default".parse().unwrap(),
        account: account(),
        identifiers: vec![name("A.example"), name("*.b.example")],
        not_before: None,
        not_after: None,
        at: at(0),
        expires_at: at(EXPIRES),
        authorizations: vec![
            authorization("A.example", false, &[HTTP, DNS]),
            authorization("b.example", true, &[DNS]),
        ],
    }
}

pub(crate) fn placed() -> Event {
    Event::OrderPlaced(order_placed())
}

fn identifier(place: u16) -> Identifier {
    order_placed().authorizations[usize::from(place)].identifier.clone()
}

pub(crate) fn respond(place: u16, challenge: ChallengeType, seconds: i64) -> Command {
    Command::RespondToChallenge {
        authorization: index(place),
        challenge,
        thumbprint: Thumbprint("thumb".into()),
        now: at(seconds),
    }
}

pub(crate) fn ready(place: u16, challenge: ChallengeType) -> Event {
    ready_again(place, challenge, 1)
}

pub(crate) fn ready_again(place: u16, challenge: ChallengeType, round: u16) -> Event {
    let identifier = identifier(place);
    let token = format!("token-{identifier}");
    Event::ChallengeReady(ChallengeReady {
        authorization: index(place),
        challenge,
        wildcard: order_placed().authorizations[usize::from(place)].wildcard,
        round,
        key_authorization: format!("{token}.thumb"),
        token,
        identifier,
        account: account(),
        profile: "default".parse().unwrap(),
    })
}

pub(crate) fn challenge_validated(place: u16, challenge: ChallengeType) -> ChallengeValidated {
    ChallengeValidated {
        authorization: index(place),
        challenge,
        identifier: identifier(place),
        at: at(2),
        evidence: Evidence::default(),
    }
}

pub(crate) fn validated(place: u16, challenge: ChallengeType) -> Event {
    Event::ChallengeValidated(challenge_validated(place, challenge))
}

pub(crate) fn failure() -> Failure {
    Failure::new(FailureKind::Dns, "no such name")
}

pub(crate) fn challenge_failed(place: u16, challenge: ChallengeType) -> ChallengeFailed {
    ChallengeFailed {
        authorization: index(place),
        challenge,
        identifier: identifier(place),
        at: at(2),
        failure: failure(),
        evidence: Evidence::default(),
    }
}

/// What says that a look did not see the proof, and that there is another one.
pub(crate) fn attempt_failed(place: u16, challenge: ChallengeType, retry: i64) -> Event {
    let ChallengeFailed { authorization, challenge, identifier, at: failed_at, failure, evidence } =
        challenge_failed(place, challenge);
    Event::ChallengeAttemptFailed(ChallengeAttemptFailed {
        authorization,
        challenge,
        identifier,
        at: failed_at,
        retry_at: at(retry),
        failure,
        evidence,
    })
}

/// A failure that is final.
pub(crate) fn fail(place: u16, challenge: ChallengeType) -> Command {
    Command::RecordFailure { failed: challenge_failed(place, challenge), retries: None }
}

pub(crate) fn failed(place: u16, challenge: ChallengeType) -> Event {
    Event::ChallengeFailed(challenge_failed(place, challenge))
}

/// The events of an order all of whose authorizations are valid.
pub(crate) fn proven() -> Vec<Event> {
    vec![placed(), ready(0, HTTP), ready(1, DNS), validated(0, HTTP), validated(1, DNS)]
}

pub(crate) fn key() -> SubjectPublicKey {
    SubjectPublicKey("spki".into())
}

pub(crate) fn finalize(names: &[&str], seconds: i64) -> Command {
    Command::Finalize {
        public_key: key(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        common_name: None,
        now: at(seconds),
    }
}

pub(crate) fn finalized() -> Event {
    let placed = order_placed();
    Event::OrderFinalized(OrderFinalized {
        public_key: key(),
        identifiers: placed.identifiers,
        common_name: None,
        not_before: None,
        not_after: None,
        account: placed.account,
        profile: placed.profile,
        at: at(3),
    })
}

/// The events of an order in processing, and more.
pub(crate) fn processing_and(more: &[Event]) -> Vec<Event> {
    [proven().as_slice(), &[finalized()], more].concat()
}

fn issuer() -> IssuerId {
    IssuerId::from_hash(&[4; 32])
}

pub(crate) fn serial(number: u8) -> Serial {
    Serial::from_random(&[number; 16])
}

pub(crate) fn reservation(number: u8) -> CertificateReserved {
    CertificateReserved { issuer: issuer(), serial: serial(number), ledger_sequence: 1 }
}

/// Claims a serial where CAA is not enforced.
pub(crate) fn reserve(number: u8) -> Command {
    Command::Reserve { reserved: reservation(number), caa_since: None }
}

pub(crate) fn burning(number: u8) -> ReservationBurned {
    ReservationBurned { issuer: issuer(), serial: serial(number) }
}

pub(crate) fn issuing(number: u8) -> CertificateIssued {
    CertificateIssued { issuer: issuer(), serial: serial(number), ledger_sequence: 2, at: at(4) }
}

pub(crate) fn giving_up() -> IssuanceFailed {
    IssuanceFailed { failure: failure(), at: at(4) }
}
