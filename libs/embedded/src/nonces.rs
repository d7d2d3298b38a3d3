//! Nonces in memory: the sealed counters of a cluster, with a memory of the spent ones that ends with the process.
//!
//! The epoch and its key are random at each start, so that what an earlier process issued is refused, spent or not.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use acme::{
    Nonces, NoncesUnavailable, Redeemed,
    nonce::{NonceCounter, NonceLifetime, NonceParts, NonceSealer, SPENT_LIFETIME},
};
use async_trait::async_trait;
use domain::{AccountId, OrderId, ProfileName};
use readmodel::{Admission, Admitted, ReadModel};
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::warn;

/// There is only one node.
const NODE: u32 = 0;

/// Issues and redeems nonces, and admits requests with the views of a read model.
///
/// Takes at most a bit per nonce issued, for about an hour: 1 MiB for each minute of 140,000 nonces a second.
pub struct MemoryNonces {
    views: Arc<dyn ReadModel>,
    epoch: u64,
    sealer: NonceSealer,
    lifetime: NonceLifetime,
    counter: NonceCounter,
    /// Minutes are counted from here: a clock that is set must not bring back what is forgotten.
    started: Instant,
    spent: Mutex<Spent>,
}

impl MemoryNonces {
    /// Starts an epoch of nonces that are good for some time.
    ///
    /// # Panics
    /// Never in practice: only when the operating system has no random numbers.
    #[expect(clippy::expect_used, reason = "without randomness a CA must not go on")]
    pub fn new(views: Arc<dyn ReadModel>, lifetime: NonceLifetime) -> Self {
        let (mut epoch, mut key) = ([0; 8], [0; 32]);
        let random = SystemRandom::new();
        random.fill(&mut epoch).expect("the operating system gives random numbers");
        random.fill(&mut key).expect("the operating system gives random numbers");
        Self {
            views,
            epoch: u64::from_be_bytes(epoch),
            sealer: NonceSealer::new(&key),
            lifetime,
            counter: NonceCounter::default(),
            started: Instant::now(),
            spent: Mutex::default(),
        }
    }

    fn minute(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs() / 60).unwrap_or(u32::MAX)
    }

    fn issue_in(&self, profile: &ProfileName, minute: u32) -> Result<String, NoncesUnavailable> {
        let taken = self.counter.take(minute);
        let (minute, counter) =
            taken.ok_or_else(|| NoncesUnavailable::because("this minute's nonces are used up"))?;
        let parts = NonceParts { epoch: self.epoch, node: NODE, minute, counter };
        self.sealer.seal(profile, &parts)
    }

    fn redeem_in(&self, profile: &ProfileName, nonce: &str, minute: u32) -> Redeemed {
        let good = |parts: &NonceParts| parts.check(self.epoch, minute, self.lifetime).is_ok();
        let Some(parts) = self.sealer.open(profile, nonce).ok().filter(good) else {
            return Redeemed::Unknown;
        };
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.forget_before(minute);
        if spent.add(&parts) { Redeemed::Fresh } else { Redeemed::Replayed }
    }
}

/// The counters spent in each minute that nonces may still be of, as bitmaps.
#[derive(Default)]
struct Spent(BTreeMap<u32, Vec<u64>>);

impl Spent {
    fn forget_before(&mut self, minute: u32) {
        let kept = u32::try_from(SPENT_LIFETIME.as_secs() / 60).unwrap_or(u32::MAX);
        self.0.retain(|&of, _| of.saturating_add(kept) >= minute);
    }

    /// Adds a counter; false when it was there.
    fn add(&mut self, parts: &NonceParts) -> bool {
        let bits = self.0.entry(parts.minute).or_default();
        let (word, bit) = ((parts.counter / u64::BITS) as usize, 1 << (parts.counter % u64::BITS));
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        let fresh = bits[word] & bit == 0;
        bits[word] |= bit;
        fresh
    }
}

#[async_trait]
impl Nonces for MemoryNonces {
    async fn issue(&self, profile: &ProfileName) -> Result<String, NoncesUnavailable> {
        self.issue_in(profile, self.minute())
    }

    async fn redeem(
        &self,
        profile: &ProfileName,
        nonce: &str,
    ) -> Result<Redeemed, NoncesUnavailable> {
        Ok(self.redeem_in(profile, nonce, self.minute()))
    }
}

#[async_trait]
impl Admission for MemoryNonces {
    /// Views that cannot be read are misses: they are folded from the log.
    async fn admit(
        &self,
        (profile, nonce): (&ProfileName, &str),
        account: Option<&AccountId>,
        order: Option<&OrderId>,
    ) -> Result<Admitted, NoncesUnavailable> {
        let nonce = self.redeem_in(profile, nonce, self.minute());
        let mut admitted = Admitted { nonce, account: None, order: None };
        if let Some(id) = account {
            admitted.account = or_miss(self.views.account(id).await);
        }
        if let Some(id) = order {
            admitted.order = or_miss(self.views.order(id).await);
        }
        Ok(admitted)
    }
}

fn or_miss<T>(read: Result<Option<T>, readmodel::Unavailable>) -> Option<T> {
    read.unwrap_or_else(|error| {
        warn!(error = &error as &dyn std::error::Error, "view not read, folding from the log");
        None
    })
}

/// Shows nothing of the key.
impl fmt::Debug for MemoryNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNonces").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use domain::{CrlName, PreAuthorizationId, Serial, account, order, pre_authorization};
    use eventstore::{Sequence, Stream};
    use readmodel::{
        CertificateEntry, Crl, Lookup, OrderEntry, OrdersPage, OrdersQuery, Unavailable, View,
    };

    use super::*;
    use crate::{Embedded, Options};

    /// A read model that is out of reach.
    struct Down;

    fn down<T>() -> Result<T, Unavailable> {
        Err(Unavailable::OutOfReach("down".into()))
    }

    #[async_trait]
    impl ReadModel for Down {
        async fn account(
            &self,
            _: &AccountId,
        ) -> Result<Option<View<account::State>>, Unavailable> {
            down()
        }
        async fn put_account(&self, _: &View<account::State>) -> Result<(), Unavailable> {
            down()
        }
        async fn order(&self, _: &OrderId) -> Result<Option<View<order::State>>, Unavailable> {
            down()
        }
        fn recent_order(&self, _: &OrderId, _: Sequence) -> Option<View<order::State>> {
            None
        }
        async fn put_order(&self, _: &View<order::State>) -> Result<(), Unavailable> {
            down()
        }
        async fn pre_authorization(
            &self,
            _: &PreAuthorizationId,
        ) -> Result<Option<View<pre_authorization::State>>, Unavailable> {
            down()
        }
        async fn put_pre_authorization(
            &self,
            _: &View<pre_authorization::State>,
        ) -> Result<(), Unavailable> {
            down()
        }
        async fn certificate(&self, _: &Serial) -> Result<Lookup<CertificateEntry>, Unavailable> {
            down()
        }
        async fn put_certificates(&self, _: &[CertificateEntry]) -> Result<(), Unavailable> {
            down()
        }
        async fn orders_page(&self, _: &OrdersQuery<'_>) -> Result<OrdersPage, Unavailable> {
            down()
        }
        async fn put_order_entries(&self, _: &[OrderEntry]) -> Result<(), Unavailable> {
            down()
        }
        async fn complete_to(&self, _: Stream) -> Result<Sequence, Unavailable> {
            down()
        }
        async fn mark_complete(&self, _: Stream, _: Sequence) -> Result<(), Unavailable> {
            down()
        }
        async fn crl(&self, _: &CrlName) -> Result<Option<Arc<Crl>>, Unavailable> {
            down()
        }
        async fn put_crl(&self, _: &CrlName, _: &Crl) -> Result<(), Unavailable> {
            down()
        }
        async fn clear(&self) -> Result<(), Unavailable> {
            down()
        }
    }

    fn profile() -> ProfileName {
        ProfileName::default()
    }

    fn nonces() -> MemoryNonces {
        MemoryNonces::new(Arc::new(Down), NonceLifetime::default())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nonces_in_memory_keep_the_contract() {
        acme::nonce::contract::check(Arc::new(nonces())).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn admissions_with_the_views_of_the_store_keep_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(directory.path(), &Options::default()).unwrap());
        let nonces = Arc::new(MemoryNonces::new(Arc::clone(&store) as _, NonceLifetime::default()));
        readmodel::contract::admission(nonces, store).await;
    }

    #[tokio::test]
    async fn a_view_that_cannot_be_read_is_a_miss() {
        let nonces = nonces();
        let nonce = nonces.issue(&profile()).await.unwrap();
        let (account, order) = (AccountId::from_hash(&[1; 32]), OrderId::new(1, &[1; 16]));
        let admitted =
            nonces.admit((&profile(), &nonce), Some(&account), Some(&order)).await.unwrap();
        assert_eq!(admitted.nonce, Redeemed::Fresh);
        assert_eq!((admitted.account, admitted.order), (None, None));
    }

    #[test]
    fn no_nonce_is_good_after_a_restart() {
        let (before, after) = (nonces(), nonces());
        let (spent, unspent) =
            (before.issue_in(&profile(), 0).unwrap(), before.issue_in(&profile(), 0).unwrap());
        assert_eq!(before.redeem_in(&profile(), &spent, 0), Redeemed::Fresh);
        assert_eq!(after.redeem_in(&profile(), &spent, 0), Redeemed::Unknown);
        assert_eq!(after.redeem_in(&profile(), &unspent, 0), Redeemed::Unknown);
    }

    #[test]
    fn a_spent_nonce_is_refused_as_long_as_it_could_be_good_and_then_forgotten() {
        let nonces = nonces();
        let nonce = nonces.issue_in(&profile(), 100).unwrap();
        assert_eq!(nonces.redeem_in(&profile(), &nonce, 100), Redeemed::Fresh);
        for minute in 100..1000 {
            let other = nonces.issue_in(&profile(), minute).unwrap();
            assert_eq!(nonces.redeem_in(&profile(), &other, minute), Redeemed::Fresh);
            assert_ne!(nonces.redeem_in(&profile(), &nonce, minute), Redeemed::Fresh, "{minute}");
        }
        assert!(nonces.spent.lock().unwrap().0.len() < 70, "old minutes are dropped");
    }

    #[test]
    fn a_nonce_is_good_for_as_long_as_is_configured() {
        let lifetime = std::time::Duration::from_mins(2).try_into().unwrap();
        let nonces = MemoryNonces::new(Arc::new(Down), lifetime);
        let (early, late) = (nonces.issue_in(&profile(), 100), nonces.issue_in(&profile(), 100));
        assert_eq!(nonces.redeem_in(&profile(), &early.unwrap(), 102), Redeemed::Fresh);
        assert_eq!(nonces.redeem_in(&profile(), &late.unwrap(), 103), Redeemed::Unknown);
    }

    #[test]
    fn a_hundred_thousand_nonces_take_a_bit_each() {
        let nonces = nonces();
        let issued: Vec<_> =
            (0..100_000).map(|_| nonces.issue_in(&profile(), 5).unwrap()).collect();
        assert!(nonces.spent.lock().unwrap().0.is_empty(), "issuing takes nothing");
        for nonce in issued.iter().rev() {
            assert_eq!(nonces.redeem_in(&profile(), nonce, 5), Redeemed::Fresh);
        }
        let bits: usize = nonces.spent.lock().unwrap().0.values().map(|bits| bits.len() * 64).sum();
        assert!(bits < 101_000);
        assert!(
            issued.iter().all(|nonce| nonces.redeem_in(&profile(), nonce, 5) == Redeemed::Replayed)
        );
    }
}
