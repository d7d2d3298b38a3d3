//! A read model that fails when told to, and that holds every marker against the index.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use domain::{
    AccountId, CrlName, OrderId, PreAuthorizationId, Serial, account, certificate::LedgerEvent,
    order, pre_authorization,
};
use embedded::Embedded;
use eventstore::{EventStore as _, Sequence, Stream};
use readmodel::{
    CertificateEntry, Crl, Lookup, OrderEntry, OrdersPage, OrdersQuery, ReadModel, Unavailable,
    View,
};
use tokio::sync::Mutex;

/// The read model.
pub(crate) struct Observed {
    inner: Embedded,
    log: Embedded,
    /// Whether nothing works.
    pub(crate) is_down: AtomicBool,
    /// How often nothing worked.
    pub(crate) refusals: AtomicU64,
    /// How often it was asked for a marker.
    pub(crate) markers_read: AtomicU64,
    /// Of so many certificates one is not taken; none for zero.
    pub(crate) refused: AtomicU64,
    /// The most certificates that were handed over at once.
    pub(crate) most_at_once: AtomicUsize,
    puts: AtomicU64,
    /// How often the read model was cleared, by whomever.
    clears: Arc<Mutex<u64>>,
    /// After how many of these the marker of a stream was first read: after another one its marks are refused, as on Redis.
    bound: Mutex<HashMap<Stream, u64>>,
}

impl Observed {
    /// The same read model, as another process sees it.
    pub(crate) fn beside(&self) -> Self {
        Self { clears: Arc::clone(&self.clears), ..Self::new(&self.inner, &self.log) }
    }

    pub(crate) fn new(inner: &Embedded, log: &Embedded) -> Self {
        Self {
            inner: inner.clone(),
            log: log.clone(),
            is_down: AtomicBool::default(),
            refusals: AtomicU64::default(),
            markers_read: AtomicU64::default(),
            refused: AtomicU64::default(),
            most_at_once: AtomicUsize::default(),
            puts: AtomicU64::default(),
            clears: Arc::default(),
            bound: Mutex::default(),
        }
    }

    fn check_up(&self) -> Result<(), Unavailable> {
        if self.is_down.load(Ordering::Relaxed) {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(Unavailable::OutOfReach("down on purpose".into()));
        }
        Ok(())
    }

    /// Everything up to a marker can be found.
    async fn check_index(&self, marker: Sequence) {
        let messages = self.log.scan(Stream::Ledger, Sequence::NONE, usize::MAX >> 1).await;
        for message in messages.unwrap().iter().filter(|message| message.sequence <= marker) {
            for event in message.envelope.decode().unwrap() {
                let LedgerEvent::CertificateSigned(signed) = event else { continue };
                let found = self.inner.certificate(&signed.serial).await.unwrap();
                assert!(
                    matches!(found, Lookup::Found(_)),
                    "marker {marker} passed {}, which is not in the index",
                    message.sequence
                );
            }
        }
    }
}

#[async_trait]
impl ReadModel for Observed {
    async fn account(&self, id: &AccountId) -> Result<Option<View<account::State>>, Unavailable> {
        self.check_up()?;
        self.inner.account(id).await
    }

    async fn put_account(&self, account: &View<account::State>) -> Result<(), Unavailable> {
        self.check_up()?;
        self.inner.put_account(account).await
    }

    async fn order(&self, id: &OrderId) -> Result<Option<View<order::State>>, Unavailable> {
        self.check_up()?;
        self.inner.order(id).await
    }

    fn recent_order(&self, _: &OrderId, _: Sequence) -> Option<View<order::State>> {
        None
    }

    async fn put_order(&self, order: &View<order::State>) -> Result<(), Unavailable> {
        self.check_up()?;
        self.inner.put_order(order).await
    }

    async fn pre_authorization(
        &self,
        id: &PreAuthorizationId,
    ) -> Result<Option<View<pre_authorization::State>>, Unavailable> {
        self.check_up()?;
        self.inner.pre_authorization(id).await
    }

    async fn put_pre_authorization(
        &self,
        view: &View<pre_authorization::State>,
    ) -> Result<(), Unavailable> {
        self.check_up()?;
        self.inner.put_pre_authorization(view).await
    }

    async fn certificate(&self, serial: &Serial) -> Result<Lookup<CertificateEntry>, Unavailable> {
        self.inner.certificate(serial).await
    }

    async fn put_certificates(&self, entries: &[CertificateEntry]) -> Result<(), Unavailable> {
        self.check_up()?;
        self.most_at_once.fetch_max(entries.len(), Ordering::Relaxed);
        let refused = self.refused.load(Ordering::Relaxed);
        let before = self.puts.fetch_add(entries.len() as u64, Ordering::Relaxed);
        let next = if refused > 0 { refused - before % refused } else { u64::MAX };
        // Those before the one that is not taken are.
        let taken = entries.len().min(usize::try_from(next - 1).unwrap_or(usize::MAX));
        self.inner.put_certificates(&entries[..taken]).await?;
        if taken < entries.len() {
            return Err(Unavailable::OutOfReach("refused on purpose".into()));
        }
        Ok(())
    }

    async fn orders_page(&self, query: &OrdersQuery<'_>) -> Result<OrdersPage, Unavailable> {
        self.inner.orders_page(query).await
    }

    async fn put_order_entries(&self, entries: &[OrderEntry]) -> Result<(), Unavailable> {
        self.check_up()?;
        self.inner.put_order_entries(entries).await
    }

    async fn complete_to(&self, stream: Stream) -> Result<Sequence, Unavailable> {
        self.check_up()?;
        self.markers_read.fetch_add(1, Ordering::Relaxed);
        let clears = self.clears.lock().await;
        self.bound.lock().await.entry(stream).or_insert(*clears);
        self.inner.complete_to(stream).await
    }

    async fn mark_complete(&self, stream: Stream, sequence: Sequence) -> Result<(), Unavailable> {
        let clears = self.clears.lock().await;
        let mut bound = self.bound.lock().await;
        if *bound.entry(stream).or_insert(*clears) != *clears {
            bound.clear();
            return Err(Unavailable::MemoryLost);
        }
        if stream == Stream::Ledger {
            self.check_index(sequence).await;
        }
        self.inner.mark_complete(stream, sequence).await
    }

    async fn crl(&self, name: &CrlName) -> Result<Option<Arc<Crl>>, Unavailable> {
        self.inner.crl(name).await
    }

    async fn put_crl(&self, name: &CrlName, crl: &Crl) -> Result<(), Unavailable> {
        self.inner.put_crl(name, crl).await
    }

    async fn clear(&self) -> Result<(), Unavailable> {
        let mut clears = self.clears.lock().await;
        *clears += 1;
        self.bound.lock().await.clear();
        self.inner.clear().await
    }
}
