//! Serves what other roles ask the signer.

use std::time::Duration;

use eventstore::{Call, Service};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::desk::Desk;

/// How long the signer waits after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Has the calls of a service answered until told to stop, again and again where they end or do not arrive.
pub(crate) async fn serve<A: Future<Output = ()>>(
    desk: &Desk,
    service: Service,
    answer_all: impl Fn(mpsc::Receiver<Call>) -> A,
    stop: CancellationToken,
) {
    let serving = async {
        loop {
            match desk.ports.calls.serve(service).await {
                Ok(calls) => answer_all(calls).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, service = service.as_str(), "calls do not arrive");
                }
            }
            sleep(RETRY_DELAY).await;
        }
    };
    stop.run_until_cancelled(serving).await;
}
