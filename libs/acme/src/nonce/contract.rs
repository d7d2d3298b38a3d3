//! What every implementation of [`Nonces`] must do; each runs this suite in its tests.

#![expect(clippy::expect_used, reason = "a suite for tests: a failure is a panic")]

use std::{collections::HashSet, sync::Arc};

use domain::ProfileName;
use tokio::task::JoinSet;

use super::{Nonce, Nonces, Redeemed};

/// Runs the whole suite.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn check(nonces: Arc<dyn Nonces>) {
    a_fresh_nonce_is_redeemed_once(&*nonces).await;
    what_was_not_issued_is_unknown(&*nonces).await;
    nonces_are_distinct_and_well_formed(&*nonces).await;
    of_parallel_redeems_one_wins(&nonces).await;
    redeeming_one_nonce_leaves_the_others(&*nonces).await;
    a_nonce_of_another_profile_is_unknown_and_stays_good(&*nonces).await;
}

async fn a_fresh_nonce_is_redeemed_once(nonces: &dyn Nonces) {
    let nonce = issue(nonces).await;
    assert_eq!(redeem(nonces, &nonce).await, Redeemed::Fresh);
    assert_eq!(redeem(nonces, &nonce).await, Redeemed::Replayed);
    assert_eq!(redeem(nonces, &nonce).await, Redeemed::Replayed);
}

async fn what_was_not_issued_is_unknown(nonces: &dyn Nonces) {
    let nonce = issue(nonces).await;
    let (head, tail) = nonce.split_at(nonce.len() / 2);
    let changed = if tail.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}{changed}{}", &tail[1..]);
    let long = "A".repeat(100_000);
    for text in ["", "A", "AAAA", &"A".repeat(64), "not base64url!", "ü", &long, &forged, head] {
        assert_eq!(redeem(nonces, text).await, Redeemed::Unknown, "redeeming {text:.80}");
    }
    assert_eq!(redeem(nonces, &nonce).await, Redeemed::Fresh, "forging one does not spend it");
}

async fn nonces_are_distinct_and_well_formed(nonces: &dyn Nonces) {
    const MANY: usize = 1000;
    let mut seen = HashSet::with_capacity(MANY);
    for _ in 0..MANY {
        let nonce = issue(nonces).await;
        assert!(nonce.parse::<Nonce>().is_ok(), "a nonce is base64url of bounded length");
        assert!(seen.insert(nonce), "no nonce is issued twice");
    }
}

async fn of_parallel_redeems_one_wins(nonces: &Arc<dyn Nonces>) {
    const ROUNDS: usize = 50;
    const REDEEMERS: usize = 16;
    for _ in 0..ROUNDS {
        let nonce: Arc<str> = issue(&**nonces).await.into();
        let mut redeemers = JoinSet::new();
        for _ in 0..REDEEMERS {
            let (nonces, nonce) = (Arc::clone(nonces), Arc::clone(&nonce));
            redeemers.spawn(async move { redeem(&*nonces, &nonce).await });
        }
        let outcomes = redeemers.join_all().await;
        let count = |outcome| outcomes.iter().filter(|&&found| found == outcome).count();
        assert_eq!(count(Redeemed::Fresh), 1, "exactly one of the parallel redeems wins");
        assert_eq!(count(Redeemed::Replayed), REDEEMERS - 1);
    }
}

async fn redeeming_one_nonce_leaves_the_others(nonces: &dyn Nonces) {
    let (first, second, third) = (issue(nonces).await, issue(nonces).await, issue(nonces).await);
    assert_eq!(redeem(nonces, &third).await, Redeemed::Fresh);
    assert_eq!(redeem(nonces, &first).await, Redeemed::Fresh);
    assert_eq!(redeem(nonces, &second).await, Redeemed::Fresh);
}

async fn a_nonce_of_another_profile_is_unknown_and_stays_good(nonces: &dyn Nonces) {
    let other: ProfileName = "other".parse().expect("a name");
    let nonce = issue(nonces).await;
    let elsewhere = nonces.redeem(&other, &nonce).await.expect("it answers");
    assert_eq!(elsewhere, Redeemed::Unknown);
    assert_eq!(redeem(nonces, &nonce).await, Redeemed::Fresh);
}

async fn issue(nonces: &dyn Nonces) -> String {
    nonces.issue(&ProfileName::default()).await.expect("a nonce is issued")
}

async fn redeem(nonces: &dyn Nonces, nonce: &str) -> Redeemed {
    nonces.redeem(&ProfileName::default(), nonce).await.expect("a nonce is redeemed")
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;

    use super::*;
    use crate::nonce::{NonceCounter, NonceLifetime, NonceParts, NonceSealer, NoncesUnavailable};

    const EPOCH: u64 = 7;
    const MINUTE: u32 = 1000;

    /// The simplest implementation: it forgets nothing.
    struct InMemory {
        sealer: NonceSealer,
        counter: NonceCounter,
        spent: Mutex<HashSet<(u32, u32)>>,
    }

    #[async_trait]
    impl Nonces for InMemory {
        async fn issue(&self, profile: &ProfileName) -> Result<String, NoncesUnavailable> {
            let (minute, counter) =
                self.counter.take(MINUTE).ok_or_else(NoncesUnavailable::default)?;
            self.sealer.seal(profile, &NonceParts { epoch: EPOCH, node: 1, minute, counter })
        }

        async fn redeem(
            &self,
            profile: &ProfileName,
            nonce: &str,
        ) -> Result<Redeemed, NoncesUnavailable> {
            let parts = self.sealer.open(profile, nonce).ok();
            let lifetime = NonceLifetime::default();
            let Some(parts) = parts.filter(|parts| parts.check(EPOCH, MINUTE, lifetime).is_ok())
            else {
                return Ok(Redeemed::Unknown);
            };
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = spent.insert((parts.minute, parts.counter));
            Ok(if fresh { Redeemed::Fresh } else { Redeemed::Replayed })
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_simplest_implementation_keeps_the_contract() {
        check(Arc::new(InMemory {
            sealer: NonceSealer::new(&[1; 32]),
            counter: NonceCounter::default(),
            spent: Mutex::default(),
        }))
        .await;
    }
}
