//! Watches over keys that are in tokens: while one is away nothing is reserved, and it is looked for until it is back.

use std::{convert::Infallible, sync::Arc, time::Duration};

use runtime::Check;
use tokio::{
    task::{JoinError, JoinHandle, spawn_blocking},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Signer, desk::Desk, issuers::Issuer};

/// How often tokens are looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// A token that has not answered by then is away, although the question is still open.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is to be signed waits for a token that is away for so long. Then it fails: it is in the way of what others sign.
const LAST_PATIENCE: Duration = Duration::from_secs(20);

/// The watch over the keys that are in tokens.
pub struct KeyWatch(Arc<Desk>);

impl Signer {
    /// The watch over this signer's keys, which has to run beside it; none where no key is in a token.
    pub fn key_watch(&self) -> Option<KeyWatch> {
        let any = self.desk.issuers.all().any(|issuer| issuer.authority.key().is_in_token());
        any.then(|| KeyWatch(Arc::clone(&self.desk)))
    }
}

impl KeyWatch {
    /// Looks at the keys until told to stop, and says whether all of them can sign.
    ///
    /// # Errors
    /// Never.
    pub async fn run(self, health: Check, stop: CancellationToken) -> Result<(), Infallible> {
        let Self(desk) = self;
        let watching = async {
            loop {
                let mut all_here = true;
                for issuer in desk.issuers.all() {
                    all_here &= is_here(&desk, issuer, &health).await;
                }
                if all_here {
                    health.ready();
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        stop.run_until_cancelled(watching).await;
        Ok(())
    }
}

/// Whether the issuer's key can sign.
async fn is_here(desk: &Desk, issuer: &Arc<Issuer>, health: &Check) -> bool {
    if !issuer.authority.key().is_in_token() {
        return true;
    }
    let asked = Arc::clone(issuer);
    let mut looking = spawn_blocking(move || asked.authority.key().look());
    let looked = match timeout(PATIENCE, &mut looking).await {
        Ok(looked) => looked,
        Err(_) => {
            health.not_ready("the token with the CA key does not answer");
            // All keys are in one token; what was reserved now would only wait, and be burned at a stop.
            desk.issuers.all().for_each(|issuer| issuer.authority.key().put_away());
            // A second question would only wait behind the first.
            answer(desk, looking).await
        }
    };
    match looked {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            health.not_ready("the token with the CA key cannot be used");
            let error = &error as &dyn std::error::Error;
            warn!(issuer = %issuer.id(), error, "the CA key is away");
            false
        }
        Err(_) => false,
    }
}

/// The answer of a token that is away, however late; what waits for its signatures does not wait for so long.
async fn answer<T>(desk: &Desk, mut looking: JoinHandle<T>) -> Result<T, JoinError> {
    if let Ok(looked) = timeout(LAST_PATIENCE, &mut looking).await {
        return looked;
    }
    let in_token = desk.issuers.all().filter(|issuer| issuer.authority.key().is_in_token());
    in_token.for_each(|issuer| issuer.given_up.notify_waiters());
    looking.await
}
