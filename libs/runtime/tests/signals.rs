//! Real signals, in a test process of their own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{convert::Infallible, future::pending, process::Command};

use runtime::{Health, Process, StopError};

fn terminate_this_process() {
    let id = std::process::id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
}

#[tokio::test]
async fn a_first_signal_begins_the_stop_and_a_second_ends_it_at_once() {
    let process = Process::new().unwrap();
    let health = Health::new();
    health.register("log").ready();
    process.listeners().spawn::<Infallible>("hanging listener", pending());
    let running = tokio::spawn({
        let health = health.clone();
        async move { process.run(&health).await }
    });
    terminate_this_process();
    health.until_not_ready().await;
    terminate_this_process();
    assert!(matches!(running.await.unwrap(), Err(StopError::Forced)));
}
