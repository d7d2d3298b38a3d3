//! Answers whether a CRL is published: who does not find it in the read model has to know whether that lost it.

use std::{str, sync::Arc};

use domain::CrlName;
use eventstore::{Call, CrlAnswer, Service};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Signals;
use crate::{calls, desk::Desk};

/// Serves until told to stop.
pub(crate) async fn serve(desk: Arc<Desk>, signals: Arc<Signals>, stop: CancellationToken) {
    calls::serve(&desk, Service::Crl, |calls| answer_all(&signals, calls), stop).await;
}

async fn answer_all(signals: &Signals, mut calls: mpsc::Receiver<Call>) {
    while let Some(call) = calls.recv().await {
        answer(signals, call);
    }
}

/// Has a CRL that is missed put back. Before the log was read nobody knows which there are: the question is left unanswered.
fn answer(signals: &Signals, call: Call) {
    let name = str::from_utf8(&call.question).ok().and_then(|text| text.parse::<CrlName>().ok());
    let is_published = match (&*signals.published.borrow(), name) {
        (None, _) => return,
        (Some(crls), Some(name)) => crls.contains(&name),
        (Some(_), None) => false,
    };
    if is_published {
        signals.missed.notify_one();
    }
    let answer = if is_published { CrlAnswer::Published } else { CrlAnswer::Unknown };
    call.answer(answer.to_octets());
}
