//! Looking again after a look that did not see the proof (RFC 8555 §8.2).

use std::time::Duration;

use domain::order::{ChallengeStatus, Command, Event, Rejection, Retries, Status};

use crate::fixtures::*;

pub(crate) const RETRIES: Retries =
    Retries { max_failures: 3, first_wait: Duration::from_secs(10) };

fn fail_once() -> Command {
    Command::RecordFailure { failed: challenge_failed(0, HTTP), retries: Some(RETRIES) }
}

fn first_failure() -> Vec<Event> {
    vec![placed(), ready(0, HTTP), attempt_failed(0, HTTP, 12)]
}

#[test]
fn a_look_that_fails_is_repeated_later_and_later_until_the_last() {
    let given = [placed(), ready(0, HTTP)];
    check(&given, &fail_once(), &Ok(vec![attempt_failed(0, HTTP, 12)]));
    let second = first_failure();
    check(&second, &fail_once(), &Ok(vec![attempt_failed(0, HTTP, 22)]));
    let third = [second.as_slice(), &[attempt_failed(0, HTTP, 22)]].concat();
    check(&third, &fail_once(), &Ok(vec![failed(0, HTTP)]));
}

#[test]
fn no_look_is_planned_after_the_order_ends() {
    // The first look fails at second 2.
    let retries = Retries { first_wait: Duration::from_secs(998), ..RETRIES };
    let command =
        Command::RecordFailure { failed: challenge_failed(0, HTTP), retries: Some(retries) };
    check(&[placed(), ready(0, HTTP)], &command, &Ok(vec![failed(0, HTTP)]));
}

#[test]
fn a_challenge_between_two_looks_is_processing_and_tells_why() {
    let order = state(&first_failure()).unwrap();
    assert_eq!(order.status(at(5)), Status::Pending);
    let authorization = order.authorization(index(0)).unwrap();
    let ChallengeStatus::Processing(attempts) = &authorization.challenge(HTTP).unwrap().status
    else {
        panic!("not processing");
    };
    assert_eq!((attempts.failed, attempts.failure.as_ref()), (1, Some(&failure())));
    assert!(authorization.is_in_validation());
    assert!(!authorization.is_validation_due(at(5)) && authorization.is_validation_due(at(12)));
    assert_eq!(authorization.retry_wait(at(5)), Some(Duration::from_secs(7)));
    assert_eq!(authorization.retry_wait(at(12)), None);
}

#[test]
fn asking_again_between_two_looks_has_the_next_at_once() {
    let given = first_failure();
    check(&given, &respond(0, HTTP, 5), &Ok(vec![ready_again(0, HTTP, 2)]));
    let asked = [given.as_slice(), &[ready_again(0, HTTP, 2)]].concat();
    assert!(state(&asked).unwrap().authorization(index(0)).unwrap().is_validation_due(at(5)));
    check(&asked, &respond(0, HTTP, 6), &Ok(vec![]));
}

#[test]
fn asking_again_while_a_look_is_under_way_changes_nothing() {
    check(&first_failure(), &respond(0, HTTP, 12), &Ok(vec![]));
}

#[test]
fn a_client_that_asks_again_has_no_more_looks_than_one_that_waits() {
    let asked = [
        first_failure().as_slice(),
        &[ready_again(0, HTTP, 2), attempt_failed(0, HTTP, 22), ready_again(0, HTTP, 3)],
    ]
    .concat();
    check(&asked, &fail_once(), &Ok(vec![failed(0, HTTP)]));
}

#[test]
fn a_look_that_sees_the_proof_after_others_did_not_is_valid() {
    let command = Command::RecordValidation(challenge_validated(0, HTTP));
    check(&first_failure(), &command, &Ok(vec![validated(0, HTTP)]));
}

#[test]
fn asking_again_after_the_order_ended_is_refused() {
    let refused = Err(Rejection::AuthorizationNotPending);
    let given = [placed(), ready(0, HTTP), attempt_failed(0, HTTP, EXPIRES + 50)];
    check(&given, &respond(0, HTTP, EXPIRES), &refused);
}
