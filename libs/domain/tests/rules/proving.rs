//! Placing an order and proving its identifiers.

use domain::{
    Thumbprint,
    order::{AuthorizationDeactivated, AuthorizationStatus, Command, Event, Rejection, Status},
};

use crate::fixtures::*;

fn authorization_status(given: &[Event], place: u16, seconds: i64) -> AuthorizationStatus {
    let order = state(given).unwrap();
    order.authorization_status(order.authorization(index(place)).unwrap(), at(seconds))
}

fn status(given: &[Event], seconds: i64) -> Status {
    state(given).unwrap().status(at(seconds))
}

fn deactivate(place: u16) -> Command {
    Command::DeactivateAuthorization { authorization: index(place), now: at(3) }
}

fn deactivated(place: u16) -> Event {
    Event::AuthorizationDeactivated(AuthorizationDeactivated { authorization: index(place) })
}

#[test]
fn an_order_is_placed_once() {
    check(&[], &Command::Place(order_placed()), &Ok(vec![placed()]));
    check(&[placed()], &Command::Place(order_placed()), &Err(Rejection::AlreadyExists));
}

#[test]
fn an_order_without_identifiers_is_refused() {
    let mut empty = order_placed();
    empty.identifiers.clear();
    empty.authorizations.clear();
    check(&[], &Command::Place(empty), &Err(Rejection::Incomplete));
}

#[test]
fn an_order_whose_authorizations_do_not_cover_each_identifier_is_refused() {
    let mut repeated = order_placed();
    repeated.authorizations[1] = repeated.authorizations[0].clone();
    check(&[], &Command::Place(repeated), &Err(Rejection::Incomplete));
    let mut not_wild = order_placed();
    not_wild.authorizations[1].wildcard = false;
    check(&[], &Command::Place(not_wild), &Err(Rejection::Incomplete));
    let mut nothing_to_prove = order_placed();
    nothing_to_prove.authorizations[0].challenges.clear();
    check(&[], &Command::Place(nothing_to_prove), &Err(Rejection::Incomplete));
}

#[test]
fn what_does_not_exist_cannot_be_proven_or_finalized() {
    check(&[], &respond(0, HTTP, 1), &Err(Rejection::NotFound));
    check(&[], &finalize(&[], 1), &Err(Rejection::NotFound));
}

#[test]
fn a_response_makes_the_challenge_ready_with_its_key_authorization() {
    check(&[placed()], &respond(0, HTTP, 1), &Ok(vec![ready(0, HTTP)]));
}

#[test]
fn a_second_response_changes_nothing() {
    check(&[placed(), ready(0, HTTP)], &respond(0, HTTP, 1), &Ok(vec![]));
    check(&proven(), &respond(0, HTTP, 1), &Ok(vec![]));
}

#[test]
fn a_challenge_that_was_not_offered_is_refused() {
    check(&[placed()], &respond(1, HTTP, 1), &Err(Rejection::NoSuchChallenge));
    check(&[placed()], &respond(2, DNS, 1), &Err(Rejection::NoSuchChallenge));
}

#[test]
fn a_response_after_expiry_is_refused() {
    check(&[placed()], &respond(0, HTTP, EXPIRES), &Err(Rejection::AuthorizationNotPending));
}

#[test]
fn a_response_to_a_decided_authorization_is_refused() {
    check(&proven(), &respond(0, DNS, 3), &Err(Rejection::AuthorizationNotPending));
    let lost = [placed(), ready(0, HTTP), failed(0, HTTP)];
    check(&lost, &respond(0, DNS, 3), &Err(Rejection::AuthorizationNotPending));
}

#[test]
fn what_is_left_to_prove_is_looked_at_though_the_order_is_lost() {
    let lost = [placed(), ready(0, HTTP), failed(0, HTTP)];
    check(&lost, &respond(1, DNS, 3), &Ok(vec![ready(1, DNS)]));
    check(&lost, &respond(1, DNS, EXPIRES), &Err(Rejection::AuthorizationNotPending));
    let given_up = [placed(), deactivated(0)];
    check(&given_up, &respond(0, HTTP, 3), &Err(Rejection::AuthorizationNotPending));
    check(&given_up, &respond(1, DNS, 3), &Ok(vec![ready(1, DNS)]));
    let proven = [&lost[..], &[ready(1, DNS), validated(1, DNS)]].concat();
    assert_eq!(authorization_status(&proven, 1, 4), AuthorizationStatus::Valid);
    assert_eq!(status(&proven, 4), Status::Invalid);
    assert_eq!(state(&proven).unwrap().failure(), Some(&failure()));
}

#[test]
fn a_validation_decides_a_ready_challenge_once() {
    let command = Command::RecordValidation(challenge_validated(0, HTTP));
    let given = [placed(), ready(0, HTTP)];
    check(&given, &command, &Ok(vec![validated(0, HTTP)]));
    check(&[given.as_slice(), &[validated(0, HTTP)]].concat(), &command, &Ok(vec![]));
    check(&[given.as_slice(), &[failed(0, HTTP)]].concat(), &command, &Ok(vec![]));
}

#[test]
fn a_failure_decides_a_ready_challenge_once() {
    let command = fail(0, HTTP);
    let given = [placed(), ready(0, HTTP)];
    check(&given, &command, &Ok(vec![failed(0, HTTP)]));
    check(&[given.as_slice(), &[failed(0, HTTP)]].concat(), &command, &Ok(vec![]));
    check(&[given.as_slice(), &[validated(0, HTTP)]].concat(), &command, &Ok(vec![]));
}

#[test]
fn a_validation_nobody_asked_for_is_refused() {
    let command = Command::RecordValidation(challenge_validated(0, HTTP));
    check(&[placed()], &command, &Err(Rejection::AuthorizationNotPending));
    let command = fail(0, HTTP);
    check(&[placed()], &command, &Err(Rejection::AuthorizationNotPending));
}

#[test]
fn evidence_for_another_identifier_is_refused() {
    let mut other = challenge_validated(0, HTTP);
    other.identifier = name("b.example");
    let given = [placed(), ready(0, HTTP)];
    check(&given, &Command::RecordValidation(other), &Err(Rejection::WrongIdentifier));
}

#[test]
fn an_order_is_ready_when_every_authorization_is_valid() {
    assert_eq!(status(&[placed()], 1), Status::Pending);
    assert_eq!(status(&proven()[..4], 1), Status::Pending);
    assert_eq!(status(&proven(), 1), Status::Ready);
    assert_eq!(authorization_status(&proven(), 0, 1), AuthorizationStatus::Valid);
}

#[test]
fn one_failed_challenge_makes_the_order_invalid_and_tells_why() {
    let given = [placed(), ready(0, HTTP), failed(0, HTTP)];
    assert_eq!(status(&given, 1), Status::Invalid);
    assert_eq!(authorization_status(&given, 0, 1), AuthorizationStatus::Invalid);
    assert_eq!(state(&given).unwrap().failure(), Some(&failure()));
}

#[test]
fn an_unfinished_order_ends_when_its_time_is_over() {
    assert_eq!(status(&[placed()], EXPIRES - 1), Status::Pending);
    assert_eq!(status(&[placed()], EXPIRES), Status::Invalid);
    assert_eq!(status(&proven(), EXPIRES), Status::Invalid);
    assert_eq!(authorization_status(&proven(), 0, EXPIRES), AuthorizationStatus::Expired);
    assert_eq!(status(&processing_and(&[]), EXPIRES), Status::Processing);
}

#[test]
fn an_authorization_is_given_up_once() {
    check(&[placed()], &deactivate(0), &Ok(vec![deactivated(0)]));
    check(&proven(), &deactivate(0), &Ok(vec![deactivated(0)]));
    check(&[placed(), deactivated(0)], &deactivate(0), &Ok(vec![]));
    check(&[placed()], &deactivate(9), &Err(Rejection::NoSuchChallenge));
}

#[test]
fn an_authorization_that_was_not_proven_cannot_be_given_up() {
    let given = [placed(), ready(0, HTTP), failed(0, HTTP)];
    check(&given, &deactivate(0), &Err(Rejection::AuthorizationNotPending));
    check(&given, &deactivate(1), &Ok(vec![deactivated(1)]));
}

#[test]
fn an_authorization_is_in_validation_from_the_response_until_it_is_decided() {
    for (given, expected) in [
        (&[placed()][..], false),
        (&[placed(), ready(0, HTTP)], true),
        (&[placed(), ready(0, HTTP), attempt_failed(0, HTTP, 12)], true),
        (&[placed(), ready(0, HTTP), validated(0, HTTP)], false),
        (&[placed(), ready(0, HTTP), ready(0, DNS), validated(0, HTTP)], false),
        (&[placed(), ready(0, HTTP), failed(0, HTTP)], false),
        (&[placed(), ready(0, HTTP), deactivated(0)], false),
    ] {
        let order = state(given).unwrap();
        assert_eq!(order.authorizations[0].is_in_validation(), expected, "{given:?}");
    }
}

#[test]
fn a_deactivated_authorization_never_becomes_valid() {
    let given = [placed(), ready(0, HTTP), deactivated(0)];
    let command = Command::RecordValidation(challenge_validated(0, HTTP));
    check(&given, &command, &Ok(vec![]));
    let order = [proven().as_slice(), &[deactivated(0)]].concat();
    assert_eq!(status(&order, 1), Status::Invalid);
    assert_eq!(authorization_status(&order, 0, 1), AuthorizationStatus::Deactivated);
}

#[test]
fn what_a_certificate_relies_on_cannot_be_given_up() {
    check(&processing_and(&[]), &deactivate(0), &Err(Rejection::WrongStatus(Status::Processing)));
}

#[test]
fn the_key_authorization_is_made_with_the_accounts_thumbprint() {
    let command = Command::RespondToChallenge {
        authorization: index(0),
        challenge: HTTP,
        thumbprint: Thumbprint("other".into()),
        now: at(1),
    };
    let Event::ChallengeReady(mut expected) = ready(0, HTTP) else { unreachable!() };
    expected.key_authorization = "token-A.example.other".into();
    check(&[placed()], &command, &Ok(vec![Event::ChallengeReady(expected)]));
}

#[test]
fn what_is_proven_lasts_until_it_is_given_up_or_expires() {
    let names = |given: &[Event], seconds| {
        state(given).unwrap().proven(at(seconds)).collect::<Vec<String>>()
    };
    assert_eq!(names(&proven(), 3), ["a.example", "*.b.example"]);
    assert_eq!(names(&[proven(), vec![deactivated(0)]].concat(), 3), ["*.b.example"]);
    assert_eq!(names(&proven(), EXPIRES), Vec::<String>::new());
    assert_eq!(names(&[placed()], 3), Vec::<String>::new());
}
