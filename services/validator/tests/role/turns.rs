//! Whose turn it is, and what becomes of work that waits, or is under way at the stop. Two run at a time.

use std::time::Duration;

use domain::order::{Retries, Status};
use eventstore::Sequence;

use crate::scenario::{Scenario, profile, status_in};

const ONE_LOOK: Retries = Retries { max_failures: 1, first_wait: Duration::ZERO };

/// A node that waits so long for an applicant that hangs.
async fn start(hang: Duration) -> Scenario {
    Scenario::with(ONE_LOOK, |settings| settings.total_timeout = hang).await
}

/// Checks that the next of account 1 is done while what account 2 had before it still waits.
async fn waits_for_no_other(scenario: &mut Scenario) {
    for id in 11..=15 {
        scenario.ready_for(2, id, "hanging").await;
    }
    let ready = scenario.ready_for(1, 7, "token").await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(13).await, Status::Pending);
}

#[tokio::test]
async fn what_an_account_has_beyond_its_share_comes_again() {
    let mut scenario = start(Duration::from_millis(500)).await;
    let mut last = Sequence::NONE;
    for id in 1..=9 {
        last = scenario.ready_for(1, id, "hanging").await;
    }
    scenario.given_back(last).await;
    scenario.stop().await;
}

#[tokio::test]
async fn who_had_many_turns_waits_no_longer_for_the_next() {
    let mut scenario = start(Duration::from_secs(2)).await;
    for id in 1..=6 {
        let ready = scenario.ready_for(1, id, "token").await;
        scenario.acknowledged(ready).await;
    }
    waits_for_no_other(&mut scenario).await;
}

#[tokio::test]
async fn who_had_tasks_that_panicked_waits_no_longer_for_the_next() {
    let mut scenario = start(Duration::from_secs(2)).await;
    scenario.memory.panic_at_outcomes(3);
    for id in 1..=3 {
        scenario.ready_for(1, id, "token").await;
    }
    while scenario.memory.panicking_outcomes() > 0 {
        tokio::task::yield_now().await;
    }
    waits_for_no_other(&mut scenario).await;
}

#[tokio::test]
async fn what_waits_for_its_turn_is_not_left_to_other_nodes() {
    let mut scenario = start(Duration::from_secs(30)).await;
    for id in 1..=2 {
        scenario.ready_for(1, id, "hanging").await;
    }
    let waiting = scenario.ready_for(1, 3, "token").await;
    scenario.kept(waiting).await;
    assert_eq!(scenario.status(3).await, Status::Pending);
}

#[tokio::test]
async fn what_is_under_way_at_the_stop_is_finished() {
    let scenario = start(Duration::from_millis(500)).await;
    scenario.ready(1, "hanging", profile()).await;
    while scenario.applicant.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let memory = scenario.memory.clone();
    scenario.stop().await;
    assert_eq!(status_in(&memory, 1).await, Status::Invalid);
}
