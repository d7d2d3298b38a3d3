//! Answers whether a CRL is published: who does not find it in the read model has to know whether that lost it.

use std::{str, sync::Arc};

use domain::CrlName;
use eventstore::{Call, CrlAnswer, Service};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{calls, desk::Desk};

/// Serves until told to stop.
pub(crate) async fn serve(desk: Arc<Desk>, stop: CancellationToken) {
    calls::serve(&desk, Service::Crl, |calls| answer_all(&desk, calls), stop).await;
}

async fn answer_all(desk: &Desk, mut calls: mpsc::Receiver<Call>) {
    while let Some(call) = calls.recv().await {
        answer(desk, call);
    }
}

/// Has a CRL that is missed put back. Before the log was read nobody knows which there are: the question is left unanswered.
fn answer(desk: &Desk, call: Call) {
    let name = str::from_utf8(&call.question).ok().and_then(|text| text.parse::<CrlName>().ok());
    let is_published = match (&*desk.crls.borrow(), name) {
        (None, _) => return,
        (Some(crls), Some(name)) => crls.contains(&name),
        (Some(_), None) => false,
    };
    if is_published {
        desk.crl_missed.notify_one();
    }
    let answer = if is_published { CrlAnswer::Published } else { CrlAnswer::Unknown };
    call.answer(answer.to_octets());
}
