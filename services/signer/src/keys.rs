//! Watches over keys that are in tokens: while a key is away nothing is reserved for it, and its token is asked until it is back.

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
/// A token that has not answered after this time is taken for away, although the question is still open.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much longer signatures wait for a token that does not answer. Then they fail: they are in the way of what others sign.
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

/// Asks the token of an issuer's key, if it is in one, and says whether the key can sign. Until a token has answered, however
/// late, it is not asked again, and all keys in it are away.
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
            // All keys in tokens are in this one; what was reserved now would only wait, and be burned at a stop.
            desk.issuers.all().for_each(|issuer| issuer.authority.key().put_away());
            // A second question would only wait behind the first.
            late_answer(desk, looking).await
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

/// The answer of a token, however late; after a while nobody waits any more for what it has to sign.
async fn late_answer<T>(desk: &Desk, mut looking: JoinHandle<T>) -> Result<T, JoinError> {
    if let Ok(looked) = timeout(LAST_PATIENCE, &mut looking).await {
        return looked;
    }
    let in_token = desk.issuers.all().filter(|issuer| issuer.authority.key().is_in_token());
    in_token.for_each(|issuer| issuer.given_up.notify_waiters());
    looking.await
}
