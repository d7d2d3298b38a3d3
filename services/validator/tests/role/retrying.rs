//! Looking again after a look that did not see the proof (RFC 8555 §8.2).

use std::time::Duration;

use domain::order::{ChallengeStatus, Event, Order, Retries, Status};

use crate::scenario::{FIRST, Scenario, aggregates, order_id, profile};

/// Three looks, soon after each other.
const SOON: Retries = Retries { max_failures: 3, first_wait: Duration::from_millis(5) };
/// Three looks, and the second one does not come by itself before the test ends.
const NEVER: Retries = Retries { max_failures: 3, first_wait: Duration::from_secs(1200) };

fn kinds(events: &[Event]) -> Vec<&'static str> {
    use domain::DomainEvent as _;
    events.iter().map(Event::event_type).collect()
}

#[tokio::test]
async fn a_proof_that_comes_late_is_seen_by_the_second_look() {
    let mut scenario = Scenario::with(SOON, |_| {}).await;
    let ready = scenario.ready(1, "late", profile()).await;
    scenario.given_back(ready).await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(1).await, Status::Ready);
    let expected =
        ["OrderPlaced", "ChallengeReady", "ChallengeAttemptFailed", "ChallengeValidated"];
    assert_eq!(kinds(&scenario.events(1).await), expected);
    assert_eq!(scenario.applicant.asked(), 2);
    scenario.stop().await;
}

#[tokio::test]
async fn after_the_last_look_the_failure_is_final() {
    let mut scenario = Scenario::with(SOON, |_| {}).await;
    let ready = scenario.ready(1, "wrong", profile()).await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(1).await, Status::Invalid);
    let events = scenario.events(1).await;
    let expected = ["ChallengeAttemptFailed", "ChallengeAttemptFailed", "ChallengeFailed"];
    assert_eq!(kinds(&events)[2..], expected);
    assert_eq!(scenario.applicant.asked(), 3);
    scenario.stop().await;
}

#[tokio::test]
async fn between_two_looks_the_challenge_tells_why_the_last_one_failed() {
    let mut scenario = Scenario::with(NEVER, |_| {}).await;
    let ready = scenario.ready(1, "late", profile()).await;
    scenario.given_back(ready).await;
    let order = aggregates(&scenario.memory).load::<Order>(&order_id(1)).await.unwrap().unwrap();
    let challenge = &order.state.authorization(FIRST).unwrap().challenges[0];
    let ChallengeStatus::Processing(attempts) = &challenge.status else { panic!("not open") };
    assert!(attempts.failure.is_some() && attempts.retry_at.is_some());
    // Delivered early, it waits on without being looked at.
    scenario.memory.deliver_again(ready, 2);
    scenario.given_back(ready).await;
    assert_eq!(scenario.applicant.asked(), 1);
    scenario.stop().await;
}

#[tokio::test]
async fn asking_again_has_the_next_look_at_once_and_the_planned_one_never() {
    let mut scenario = Scenario::with(NEVER, |_| {}).await;
    let first = scenario.ready(1, "late", profile()).await;
    scenario.given_back(first).await;
    let second = scenario.respond(1).await;
    scenario.acknowledged(second).await;
    assert_eq!(scenario.status(1).await, Status::Ready);
    scenario.memory.deliver_again(first, 2);
    scenario.acknowledged(first).await;
    assert_eq!(scenario.applicant.asked(), 2);
    scenario.stop().await;
}

#[tokio::test]
async fn an_older_request_is_superseded_while_the_newer_one_fails() {
    let mut scenario = Scenario::with(NEVER, |_| {}).await;
    let first = scenario.ready(1, "wrong", profile()).await;
    scenario.given_back(first).await;
    let second = scenario.respond(1).await;
    scenario.given_back(second).await;
    scenario.memory.deliver_again(first, 2);
    scenario.acknowledged(first).await;
    assert_eq!(scenario.applicant.asked(), 2);
    scenario.stop().await;
}

#[tokio::test]
async fn beyond_what_an_account_may_have_waiting_the_first_failure_is_final() {
    let mut scenario = Scenario::with(NEVER, |_| {}).await;
    for id in 1..=32 {
        let ready = scenario.ready_for(1, id, "wrong").await;
        scenario.given_back(ready).await;
    }
    let beyond = scenario.ready_for(1, 33, "wrong").await;
    scenario.acknowledged(beyond).await;
    assert_eq!(scenario.status(33).await, Status::Invalid);
    let of_another = scenario.ready_for(2, 34, "wrong").await;
    scenario.given_back(of_another).await;
    assert_eq!(scenario.status(34).await, Status::Pending);
    scenario.stop().await;
}
