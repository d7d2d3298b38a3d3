//! Views follow the log, whoever wrote it.

use std::sync::{Arc, atomic::Ordering};

use domain::{
    Failure, FailureKind,
    order::{Event, IssuanceFailed},
};
use eventstore::{Envelope, EventStore as _, Expected, MessageId, Subject};
use futures::FutureExt as _;
use readmodel::ReadModel as _;

use crate::{
    observed::Observed,
    scene::{Running, Scene, account_id, at, context, order_id, pre_authorization_id, until},
};

#[tokio::test]
async fn every_order_account_and_pre_authorization_gets_its_view() {
    let scene = Scene::new();
    let before = scene.place(1).await;
    let projector = scene.start();
    let account = scene.create_account(1).await;
    let after = scene.place(2).await;
    scene.shows(1, before).await;
    scene.shows(2, after).await;
    let id = account_id(1);
    let view = until("the account", async || scene.views.account(&id).await.unwrap()).await;
    assert_eq!(view.sequence, account);
    let held = scene.pre_authorize(1).await;
    let id = pre_authorization_id(1);
    let view =
        until("the pre-authorization", async || scene.views.pre_authorization(&id).await.unwrap())
            .await;
    assert_eq!(view.sequence, held);
    projector.stop().await;
}

#[tokio::test]
async fn a_view_that_its_writer_left_behind_is_brought_up_to_date() {
    let scene = Scene::new();
    let projector = scene.start();
    let placed = scene.place(1).await;
    scene.shows(1, placed).await;
    let responded = scene.respond(1).await;
    scene.shows(1, responded).await;
    projector.stop().await;
}

#[tokio::test]
async fn a_view_that_could_not_be_written_is_written_when_the_read_model_is_back() {
    let scene = Scene::new();
    let views = Arc::new(Observed::new(&scene.views, &scene.log));
    let projector = Running::start(scene.ports(views.clone()));
    let placed = scene.place(1).await;
    scene.shows(1, placed).await;
    views.is_down.store(true, Ordering::Relaxed);
    let responded = scene.respond(1).await;
    // One that is folded without the read model is no reason to forget the message.
    until("it was tried", async || (views.refusals.load(Ordering::Relaxed) > 0).then_some(()))
        .await;
    let stale = scene.views.order(&order_id(1)).await.unwrap().unwrap();
    assert_eq!(stale.sequence, placed);
    views.is_down.store(false, Ordering::Relaxed);
    scene.shows(1, responded).await;
    projector.stop().await;
}

#[tokio::test]
async fn two_projectors_share_the_work() {
    let scene = Scene::new();
    let (one, two) = (scene.start(), scene.start());
    let mut last = Vec::new();
    for n in 1..=40 {
        scene.place(n).await;
        last.push((n, scene.respond(n).await));
    }
    for (n, sequence) in last {
        scene.shows(n, sequence).await;
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_projector_goes_on_where_the_one_before_ended() {
    let scene = Scene::new();
    let placed = scene.place(1).await;
    let first = scene.start();
    scene.shows(1, placed).await;
    first.stop().await;
    let responded = scene.respond(1).await;
    let second = scene.start();
    scene.shows(1, responded).await;
    second.stop().await;
}

#[tokio::test]
async fn a_projector_is_ready_while_it_can_keep_the_read_model_complete() {
    let scene = Scene::new();
    let views = Arc::new(Observed::new(&scene.views, &scene.log));
    let projector = Running::start(scene.ports(views.clone()));
    let is_ready = || projector.health.until_ready().now_or_never();
    until("it is ready", async || is_ready()).await;
    views.is_down.store(true, Ordering::Relaxed);
    let placed = scene.place(1).await;
    until("it is not ready any more", async || is_ready().is_none().then_some(())).await;
    views.is_down.store(false, Ordering::Relaxed);
    until("it is ready again", async || is_ready()).await;
    scene.shows(1, placed).await;
    projector.stop().await;
}

#[tokio::test]
async fn an_aggregate_of_a_newer_release_does_not_keep_the_others_waiting() {
    let scene = Scene::new();
    let projector = scene.start();
    scene.create_account(1).await;
    // No account of this release knows it.
    let failure = Failure::new(FailureKind::Dns, "unknown");
    let unknown = Event::IssuanceFailed(IssuanceFailed { failure, at: at(1) });
    let envelope = Envelope::new(MessageId::random(), &context(), &[unknown]).unwrap();
    let subject = Subject::account(&account_id(1));
    scene.log.append(&subject, Expected::Anything, &envelope).await.unwrap();
    let placed = scene.place(2).await;
    scene.shows(2, placed).await;
    projector.stop().await;
}
