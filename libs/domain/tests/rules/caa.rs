//! CAA is looked at again before issuance when the last look is too long ago.

use domain::{
    CaaEvidence, Evidence, Failure, FailureKind,
    order::{CaaCheckFailed, CaaCheckNeeded, CaaChecked, Command, Event, Rejection, State, Status},
};

use crate::fixtures::*;

fn evidence() -> Evidence {
    Evidence { caa: Some(CaaEvidence::default()), ..Evidence::default() }
}

pub(crate) fn checked(place: u16, seconds: i64) -> CaaChecked {
    let identifier = order_placed().authorizations[usize::from(place)].identifier.clone();
    CaaChecked { authorization: index(place), identifier, at: at(seconds), evidence: evidence() }
}

pub(crate) fn check_failed(place: u16, seconds: i64) -> CaaCheckFailed {
    let CaaChecked { authorization, identifier, at, evidence } = checked(place, seconds);
    let failure = Failure::new(FailureKind::Caa, "CAA forbids it");
    CaaCheckFailed { authorization, identifier, at, failure, evidence }
}

fn needed(place: u16) -> Event {
    let placed = order_placed();
    let authorization = &placed.authorizations[usize::from(place)];
    Event::CaaCheckNeeded(CaaCheckNeeded {
        authorization: index(place),
        challenge: if place == 0 { HTTP } else { DNS },
        identifier: authorization.identifier.clone(),
        wildcard: authorization.wildcard,
        account: placed.account.clone(),
        profile: placed.profile,
    })
}

/// An order in processing whose two names were proven with a look at CAA, at second 2.
fn looked_at() -> Vec<Event> {
    let with_caa = |place, kind| {
        let mut validated = challenge_validated(place, kind);
        validated.evidence = evidence();
        Event::ChallengeValidated(validated)
    };
    vec![placed(), ready(0, HTTP), ready(1, DNS), with_caa(0, HTTP), with_caa(1, DNS), finalized()]
}

fn reserve_since(seconds: i64) -> Command {
    Command::Reserve { reserved: reservation(1), caa_since: Some(at(seconds)) }
}

fn request(seconds: i64) -> Command {
    Command::RequestCaaCheck { since: at(seconds) }
}

fn status(given: &[Event]) -> Status {
    state(given).as_ref().map(|order: &State| order.status(at(5))).unwrap()
}

#[test]
fn a_serial_is_reserved_while_the_last_look_is_recent() {
    let reserved = Ok(vec![Event::CertificateReserved(reservation(1))]);
    check(&looked_at(), &reserve_since(2), &reserved);
    check(&looked_at(), &request(2), &Ok(vec![]));
}

#[test]
fn no_serial_is_reserved_when_the_last_look_is_too_long_ago() {
    check(&looked_at(), &reserve_since(3), &Err(Rejection::CaaStale));
    check(&processing_and(&[]), &reserve_since(0), &Err(Rejection::CaaStale));
}

#[test]
fn every_name_whose_look_is_too_long_ago_is_looked_at_again_once() {
    check(&looked_at(), &request(3), &Ok(vec![needed(0), needed(1)]));
    let asked = [looked_at().as_slice(), &[needed(0), needed(1)]].concat();
    check(&asked, &request(3), &Ok(vec![]));
    let one = [asked.as_slice(), &[Event::CaaChecked(checked(0, 4))]].concat();
    check(&one, &reserve_since(3), &Err(Rejection::CaaStale));
    let both = [one.as_slice(), &[Event::CaaChecked(checked(1, 4))]].concat();
    check(&both, &reserve_since(3), &Ok(vec![Event::CertificateReserved(reservation(1))]));
    check(&both, &request(5), &Ok(vec![needed(0), needed(1)]));
}

#[test]
fn a_look_is_recorded_once_and_only_when_it_was_asked_for() {
    let command = Command::RecordCaa(checked(0, 4));
    check(&looked_at(), &command, &Ok(vec![]));
    let asked = [looked_at().as_slice(), &[needed(0), needed(1)]].concat();
    check(&asked, &command, &Ok(vec![Event::CaaChecked(checked(0, 4))]));
    let taken = [asked.as_slice(), &[Event::CaaChecked(checked(0, 4))]].concat();
    check(&taken, &command, &Ok(vec![]));
}

#[test]
fn a_look_at_another_name_is_refused() {
    let mut other = checked(0, 4);
    other.identifier = name("b.example");
    let asked = [looked_at().as_slice(), &[needed(0)]].concat();
    check(&asked, &Command::RecordCaa(other), &Err(Rejection::WrongIdentifier));
}

#[test]
fn a_refusal_ends_the_order_and_tells_why() {
    let asked = [looked_at().as_slice(), &[needed(0), needed(1)]].concat();
    let failed = Event::CaaCheckFailed(check_failed(0, 4));
    check(&asked, &Command::RecordCaaFailure(check_failed(0, 4)), &Ok(vec![failed.clone()]));
    let ended = [asked.as_slice(), &[failed]].concat();
    assert_eq!(status(&ended), Status::Invalid);
    assert_eq!(state(&ended).unwrap().failure(), Some(&check_failed(0, 4).failure));
    check(&ended, &Command::RecordCaa(checked(1, 4)), &Ok(vec![]));
    check(&ended, &reserve_since(3), &Err(Rejection::WrongStatus(Status::Invalid)));
}

#[test]
fn a_late_answer_changes_nothing_once_a_serial_is_reserved() {
    let reserved = Event::CertificateReserved(reservation(1));
    let given = [looked_at().as_slice(), &[needed(0), reserved]].concat();
    check(&given, &Command::RecordCaaFailure(check_failed(0, 4)), &Ok(vec![]));
    check(&given, &request(9), &Err(Rejection::AlreadyReserved));
}
