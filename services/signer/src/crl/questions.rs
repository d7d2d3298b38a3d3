//! Answers whether a CRL is published: who does not find it in the read model has to know whether that lost it.

use std::{str, sync::Arc, time::Duration};

use domain::CrlName;
use eventstore::{Call, CrlAnswer, Service};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::desk::Desk;

/// How long the signer waits after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Serves until told to stop.
pub(crate) async fn serve(desk: Arc<Desk>, stop: CancellationToken) {
    let serving = async {
        loop {
            match desk.ports.calls.serve(Service::Crl).await {
                Ok(mut calls) => {
                    while let Some(call) = calls.recv().await {
                        answer(&desk, call);
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "questions about CRLs do not arrive");
                }
            }
            sleep(RETRY_DELAY).await;
        }
    };
    stop.run_until_cancelled(serving).await;
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
