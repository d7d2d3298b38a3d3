//! The read model: states in memory, certificates and CRLs in the database.
//!
//! Views are a bounded cache: an evicted one is a miss, and the caller folds it from the log. An append removes the
//! view that it makes outdated, because nobody checks later whether the new one was written. Certificates are indexed
//! in the transaction that appends them to the ledger, so their index is always complete, except during a rebuild.

use std::{
    collections::HashMap,
    hash::Hash as Key,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use domain::{
    AccountId, CrlName, OrderId, PreAuthorizationId, Serial, account, order, pre_authorization,
};
use eventstore::{Sequence, Stream, Subject};
use readmodel::{
    CertificateEntry, Crl, Lookup, OrderEntry, OrdersPage, OrdersQuery, ReadModel, Unavailable,
    View,
};
use rusqlite::Connection;

use crate::{
    Embedded, Options, crls,
    error::ReadError,
    generations::Generations,
    index::{self, Entry, PlacedOrder},
    rebuilding::{self, EntriesLost, Rebuilt},
    request::{Change, Changed},
    shared::Shared,
};

/// An order weighs in the cache as much as it has names, but at least this.
const NAMES_OF_AN_ORDER: usize = 8;

/// What of the read model is in memory.
#[derive(Debug)]
pub(crate) struct Views {
    accounts: States<AccountId, account::State>,
    orders: States<OrderId, order::State>,
    pre_authorizations: States<PreAuthorizationId, pre_authorization::State>,
    crls: Mutex<HashMap<CrlName, Arc<Crl>>>,
    /// Up to where callers marked each stream as complete; what is appended is complete without a mark.
    marked: Mutex<HashMap<Stream, Sequence>>,
    /// The certificates were cleared and are not complete again.
    rebuilding: AtomicBool,
}

#[derive(Debug)]
struct States<K, S>(Mutex<Generations<K, View<S>>>);

impl<K: Key + Eq + Clone, S> States<K, S> {
    fn new(capacity: usize) -> Self {
        Self(Mutex::new(Generations::new(capacity)))
    }

    fn weighed(capacity: usize, weight_of: fn(&View<S>) -> usize) -> Self {
        Self(Mutex::new(Generations::weighed(capacity, weight_of)))
    }

    fn get(&self, id: &K) -> Option<View<S>> {
        self.lock().get(id)
    }

    /// Keeps a view, unless a newer one is there or it is outdated. The latter is checked under the lock: otherwise an
    /// append in between would find no view to forget, and the outdated one would stay.
    fn put(&self, id: &K, state: &View<S>, is_outdated: impl FnOnce() -> bool) {
        let mut states = self.lock();
        let is_newer = states.get(id).is_none_or(|known| known.sequence < state.sequence);
        if is_newer && !is_outdated() {
            states.insert(id.clone(), state.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, View<S>>> {
        lock(&self.0)
    }
}

impl Views {
    /// Reads what belongs into memory.
    pub(crate) fn load(connection: &Connection, options: &Options) -> Result<Self, ReadError> {
        let crls = crls::all(connection)?.into_iter().map(|(name, crl)| (name, Arc::new(crl)));
        Ok(Self {
            accounts: States::new(options.cached_accounts),
            orders: States::weighed(
                options.cached_orders.saturating_mul(NAMES_OF_AN_ORDER),
                |order| order.state.authorizations.len().max(NAMES_OF_AN_ORDER),
            ),
            pre_authorizations: States::new(options.cached_orders),
            crls: Mutex::new(crls.collect()),
            marked: Mutex::default(),
            rebuilding: AtomicBool::new(rebuilding::is_rebuilding(connection)?),
        })
    }

    /// Forgets the view of a subject.
    pub(crate) fn forget(&self, subject: &Subject) {
        if let Some(id) = subject.order_id() {
            self.orders.lock().remove(&id);
        }
        if let Some(id) = subject.pre_authorization_id() {
            self.pre_authorizations.lock().remove(&id);
        }
        if let Some(id) = subject.account_id() {
            self.accounts.lock().remove(&id);
        }
    }

    fn clear(&self) {
        self.accounts.lock().clear();
        self.orders.lock().clear();
        self.pre_authorizations.lock().clear();
        lock(&self.marked).clear();
    }

    fn raise_mark(&self, stream: Stream, sequence: Sequence) {
        let mut marked = lock(&self.marked);
        let mark = marked.entry(stream).or_default();
        *mark = sequence.max(*mark);
    }

    fn mark(&self, stream: Stream) -> Sequence {
        lock(&self.marked).get(&stream).copied().unwrap_or_default()
    }

    fn is_rebuilding(&self) -> bool {
        self.rebuilding.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Whether the log is known to hold something newer than a view. A subject that memory does not know of counts as
    /// unchanged.
    fn is_outdated(&self, subject: &Subject, sequence: Sequence) -> bool {
        self.positions.get(subject).is_some_and(|position| position.last > sequence)
    }
}

#[async_trait]
impl ReadModel for Embedded {
    async fn account(&self, id: &AccountId) -> Result<Option<View<account::State>>, Unavailable> {
        Ok(self.shared().views.accounts.get(id))
    }

    async fn put_account(&self, account: &View<account::State>) -> Result<(), Unavailable> {
        let (shared, id) = (self.shared(), &account.state.id);
        let is_outdated = || shared.is_outdated(&Subject::account(id), account.sequence);
        shared.views.accounts.put(id, account, is_outdated);
        Ok(())
    }

    async fn order(&self, id: &OrderId) -> Result<Option<View<order::State>>, Unavailable> {
        Ok(self.shared().views.orders.get(id))
    }

    fn recent_order(&self, _: &OrderId, _: Sequence) -> Option<View<order::State>> {
        None
    }

    async fn put_order(&self, order: &View<order::State>) -> Result<(), Unavailable> {
        let (shared, id) = (self.shared(), &order.state.id);
        let is_outdated = || shared.is_outdated(&Subject::order(id), order.sequence);
        shared.views.orders.put(id, order, is_outdated);
        Ok(())
    }

    async fn pre_authorization(
        &self,
        id: &PreAuthorizationId,
    ) -> Result<Option<View<pre_authorization::State>>, Unavailable> {
        Ok(self.shared().views.pre_authorizations.get(id))
    }

    async fn put_pre_authorization(
        &self,
        view: &View<pre_authorization::State>,
    ) -> Result<(), Unavailable> {
        let (shared, id) = (self.shared(), &view.state.id);
        let is_outdated = || shared.is_outdated(&Subject::pre_authorization(id), view.sequence);
        shared.views.pre_authorizations.put(id, view, is_outdated);
        Ok(())
    }

    async fn certificate(&self, serial: &Serial) -> Result<Lookup<CertificateEntry>, Unavailable> {
        let serial = serial.clone();
        // Before and after: a rebuild that begins in between takes entries away.
        let before = self.complete_to(Stream::Ledger).await?;
        let query =
            self.shared().readers.query(move |connection| index::certificate(connection, &serial));
        if let Some(found) = query.await.map_err(Unavailable::out_of_reach)? {
            return Ok(Lookup::Found(found));
        }
        let complete_to = before.min(self.complete_to(Stream::Ledger).await?);
        Ok(Lookup::Missing { complete_to })
    }

    /// What the ledger holds is in the index already, so a projector that repeats it costs nothing.
    async fn put_certificates(&self, entries: &[CertificateEntry]) -> Result<(), Unavailable> {
        let last = self.last_of(Stream::Ledger).await?;
        let missing = entries.iter().filter(|entry| self.is_missing(entry.ledger_sequence, last));
        let missing =
            missing.map(|entry| (entry.ledger_sequence, Entry::Certificate(entry.clone())));
        self.index(missing.collect()).await
    }

    async fn orders_page(&self, query: &OrdersQuery<'_>) -> Result<OrdersPage, Unavailable> {
        crate::listing::page(self, query).await
    }

    /// As with certificates, what the log holds is in the index already.
    async fn put_order_entries(&self, entries: &[OrderEntry]) -> Result<(), Unavailable> {
        let mut missing = Vec::new();
        for entry in entries {
            let last = self.last_of(Stream::Orders(entry.order.shard())).await?;
            if self.is_missing(entry.sequence, last) {
                let (id, account) = (entry.order.clone(), entry.account.clone());
                let placed = PlacedOrder { id, account, at: entry.placed_at };
                missing.push((entry.sequence, Entry::Order(placed)));
            }
        }
        self.index(missing).await
    }

    async fn complete_to(&self, stream: Stream) -> Result<Sequence, Unavailable> {
        let views = &self.shared().views;
        // In this order: what is appended in between is indexed, but not counted.
        let last = self.last_of(stream).await?;
        if stream == Stream::Ledger && views.is_rebuilding() {
            let query = self.shared().readers.query(rebuilding::rebuilt_to);
            let place = query.await.map_err(Unavailable::out_of_reach)?;
            return Ok(place.unwrap_or(last));
        }
        Ok(last.max(views.mark(stream)))
    }

    async fn mark_complete(&self, stream: Stream, sequence: Sequence) -> Result<(), Unavailable> {
        let views = &self.shared().views;
        if stream == Stream::Ledger && views.is_rebuilding() {
            match self.change(Change::Rebuilt(sequence)).await? {
                Changed::Rebuilt(Rebuilt::Whole) => {
                    views.rebuilding.store(false, Ordering::Release);
                }
                Changed::Rebuilt(Rebuilt::Gap) => {
                    return Err(Unavailable::out_of_reach(EntriesLost));
                }
                Changed::Rebuilt(Rebuilt::Partly) | Changed::Done | Changed::Pruned(_) => {}
            }
        }
        views.raise_mark(stream, sequence);
        Ok(())
    }

    async fn crl(&self, name: &CrlName) -> Result<Option<Arc<Crl>>, Unavailable> {
        Ok(lock(&self.shared().views.crls).get(name).cloned())
    }

    async fn put_crl(&self, name: &CrlName, crl: &Crl) -> Result<(), Unavailable> {
        self.change(Change::Crl(name.clone(), crl.clone())).await?;
        let mut crls = lock(&self.shared().views.crls);
        if crls.get(name).is_none_or(|known| known.number < crl.number) {
            crls.insert(name.clone(), Arc::new(crl.clone()));
        }
        Ok(())
    }

    async fn clear(&self) -> Result<(), Unavailable> {
        self.begin_rebuild(Change::ClearCertificates).await?;
        Ok(())
    }
}

impl Embedded {
    /// Forgets views and what the change clears.
    pub(crate) async fn begin_rebuild(&self, change: Change) -> Result<(), crate::WriteError> {
        let views = &self.shared().views;
        views.clear();
        views.rebuilding.store(true, Ordering::Release);
        self.change(change).await?;
        // An empty ledger needs no rebuild.
        let rebuilt = self.change(Change::Rebuilt(Sequence::NONE)).await?;
        if rebuilt == Changed::Rebuilt(Rebuilt::Whole) {
            views.rebuilding.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Whether the index may lack the entry of a message, where a stream has this end.
    fn is_missing(&self, sequence: Sequence, last: Sequence) -> bool {
        sequence > last || self.shared().views.is_rebuilding()
    }

    async fn index(&self, missing: Vec<(Sequence, Entry)>) -> Result<(), Unavailable> {
        if !missing.is_empty() {
            self.change(Change::Index(missing)).await?;
        }
        Ok(())
    }

    async fn last_of(&self, stream: Stream) -> Result<Sequence, Unavailable> {
        self.shared().last_of(stream).await.map_err(Unavailable::out_of_reach)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
