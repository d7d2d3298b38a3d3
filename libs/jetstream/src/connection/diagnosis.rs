//! Why there is no connection: the client connects again by itself, but tells only of what kind each failure was.

use std::{error::Error, time::Duration};

use tokio::{sync::watch::Receiver, time::timeout};

use super::{Link, settings::settings};
use crate::{ConnectError, Options};

/// After this time without a connection the cause is looked for: a server that restarts is back sooner.
const FIRST: Duration = Duration::from_secs(5);
/// How often it is looked for then.
const REPEATED: Duration = Duration::from_mins(1);

/// Tells the operator of each long outage. Ends with the client, which holds the sender.
pub(super) async fn run(options: Options, mut link: Receiver<Link>) {
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
