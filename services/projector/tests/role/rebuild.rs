//! The read model is built from nothing while traffic goes on.

use std::sync::{Arc, atomic::Ordering};

use eventstore::{EventStore as _, Stream};
use readmodel::ReadModel as _;

use crate::{
    observed::Observed,
    scene::{Running, SHARDS, Scene, account_id, until},
};

#[tokio::test]
async fn a_rebuild_brings_back_everything_and_may_run_twice() {
    let scene = Scene::new();
    let mut last = Vec::new();
    for n in 1..=10 {
        scene.create_account(n).await;
        scene.place(n).await;
        last.push((n, scene.respond(n).await));
        scene.sign(u32::from(n)).await;
    }
    let ports = scene.ports(Arc::new(Observed::new(&scene.views, &scene.log)));
    for _ in 0..2 {
        projector::rebuild(&ports, SHARDS).await.unwrap();
        for &(n, sequence) in &last {
            scene.shows(n, sequence).await;
            assert!(scene.views.account(&account_id(n)).await.unwrap().is_some());
            assert!(scene.has_certificate(u32::from(n)).await);
        }
    }
}

#[tokio::test]
async fn a_read_model_gets_many_entries_at_once() {
    let scene = Scene::new();
    for n in 1..=8 {
        scene.sign(n).await;
    }
    let views = Arc::new(Observed::new(&scene.views, &scene.log));
    projector::rebuild(&scene.ports(views.clone()), SHARDS).await.unwrap();
    assert_eq!(views.most_at_once.load(Ordering::Relaxed), 8);
}

#[tokio::test]
async fn nothing_is_missed_when_rebuilt_while_appends_go_on() {
    let scene = Arc::new(Scene::new());
    let views = Observed::new(&scene.views, &scene.log);
    let ports = scene.ports(Arc::new(views.beside()));
    let projector = Running::start(scene.ports(Arc::new(views)));
    let appending = {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move {
            let mut last = Vec::new();
            for n in 1..=100 {
                scene.place(n).await;
                scene.sign(u32::from(n)).await;
                last.push((n, scene.respond(n).await));
            }
            last
        })
    };
    while !appending.is_finished() {
        projector::rebuild(&ports, SHARDS).await.unwrap();
    }
    for (n, sequence) in appending.await.unwrap() {
        scene.shows(n, sequence).await;
    }
    let end = scene.log.last_sequence(Stream::Ledger).await.unwrap();
    until("the index is complete", async || {
        (scene.views.complete_to(Stream::Ledger).await.unwrap() >= end).then_some(())
    })
    .await;
    for n in 1..=100 {
        assert!(scene.has_certificate(n).await, "{n}");
    }
    projector.stop().await;
}

#[tokio::test]
async fn the_index_beside_the_log_is_whole_after_a_rebuild_while_appends_go_on() {
    let scene = Arc::new(Scene::new());
    let log = Arc::new(scene.log.clone());
    let projector = Running::start(scene.ports(log.clone()));
    let appending = {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move {
            for n in 1..=200 {
                scene.sign(n).await;
            }
        })
    };
    let ports = scene.ports(log.clone());
    while !appending.is_finished() {
        projector::rebuild(&ports, SHARDS).await.unwrap();
    }
    let end = scene.log.last_sequence(Stream::Ledger).await.unwrap();
    until("the index is complete", async || {
        (log.complete_to(Stream::Ledger).await.unwrap() >= end).then_some(())
    })
    .await;
    for n in 1..=200 {
        let found = log.certificate(&crate::scene::serial(n)).await.unwrap();
        assert!(matches!(found, readmodel::Lookup::Found(_)), "{n}");
    }
    projector.stop().await;
}
