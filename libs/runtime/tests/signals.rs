//! Real signals, in a test process of their own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{convert::Infallible, future::pending, process::Command, time::Duration};

use runtime::{Health, Process, StopError};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

fn terminate_this_process() {
    send("-TERM");
}

fn send(signal: &str) {
    let id = std::process::id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
}

#[tokio::test]
async fn a_first_signal_begins_the_stop_and_insisting_ends_it_at_once() {
    let process = Process::new().unwrap();
    let health = Health::new();
    health.register("log").ready();
    process.listeners().spawn::<Infallible>("hanging listener", pending());
    let mut running = tokio::spawn(async move { process.run(&health).await });
    let ended = loop {
        terminate_this_process();
        if let Ok(ended) = timeout(Duration::from_millis(50), &mut running).await {
            break ended;
        }
    };
    assert!(matches!(ended.unwrap(), Err(StopError::Forced)));
}

#[tokio::test]
async fn a_signal_sent_twice_at_once_is_one_request() {
    let process = Process::new().unwrap();
    let health = Health::new();
    let mut seen = signal(SignalKind::terminate()).unwrap();
    let stage = process.listeners().clone();
    process.listeners().spawn("listener", async move {
        stage.requested().await;
        seen.recv().await;
        terminate_this_process();
        seen.recv().await;
        // Whoever else listens has seen it before this goes on.
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(())
    });
    let running = tokio::spawn(async move { process.run(&health).await });
    terminate_this_process();
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_closed_terminal_stops_a_process_in_order() {
    // Whoever runs the tests may have it ignored.
    let _heard = signal(SignalKind::hangup()).unwrap();
    let process = Process::new().unwrap();
    let running = tokio::spawn(async move { process.run(&Health::new()).await });
    send("-HUP");
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_signal_ends_what_is_waited_for_before_anything_runs() {
    let mut process = Process::new().unwrap();
    terminate_this_process();
    assert_eq!(process.prepare(pending::<()>()).await, None);
}
