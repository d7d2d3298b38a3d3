//! Why there is no connection: the client connects again by itself, but tells only of what kind each failure was.

use std::{error::Error, time::Duration};

use tokio::{sync::watch::Receiver, task::JoinHandle, time::timeout};

use super::{Link, settings};
use crate::{ConnectError, Options};

/// After this time without a connection the cause is looked for: a server that restarts is back sooner.
const FIRST: Duration = Duration::from_secs(5);
/// How often it is looked for then.
const REPEATED: Duration = Duration::from_mins(1);

/// Tells the operator of each long outage until it is dropped.
pub(super) struct Diagnosis(JoinHandle<()>);

impl Diagnosis {
    pub(super) fn start(options: Options, link: Receiver<Link>) -> Self {
        Self(tokio::spawn(run(options, link)))
    }
}

impl Drop for Diagnosis {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends with the client, which holds the sender.
async fn run(options: Options, mut link: Receiver<Link>) {
    while link.wait_for(|link| !link.up).await.is_ok() {
        let mut wait = FIRST;
        while timeout(wait, until_up(&mut link)).await.is_err() {
            if let Err(error) = connect(&options).await {
                tracing::warn!(error = &error as &dyn Error, "there is no connection to NATS");
            }
            wait = REPEATED;
        }
    }
}

/// Also returns when the client is gone.
async fn until_up(link: &mut Receiver<Link>) {
    let _ = link.wait_for(|link| link.up).await;
}

/// Makes a connection of its own, which says why it fails.
async fn connect(options: &Options) -> Result<(), ConnectError> {
    let (servers, connect) = settings(options)?;
    connect.connect(servers).await.map(drop).map_err(ConnectError::Unreachable)
}
