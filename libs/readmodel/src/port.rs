//! The port to the read model.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    AccountId, CrlName, OrderId, PreAuthorizationId, Serial, Timestamp, account, order,
    pre_authorization,
};
use eventstore::{Sequence, Stream};

use crate::{CertificateEntry, Lookup, OrderEntry, OrdersPage, OrdersQuery};

/// An aggregate's state, shared with whoever keeps it, and the sequence of the last message folded into it.
#[derive(Debug, PartialEq, Eq)]
pub struct View<S> {
    /// The state.
    pub state: Arc<S>,
    /// The last message folded.
    pub sequence: Sequence,
}

// Derived, it would ask that the state can be cloned.
impl<S> Clone for View<S> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), sequence: self.sequence }
    }
}

/// The read model is out of reach; whoever reads folds from the log instead, whoever must write answers 503.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// It cannot be asked, or not now.
    #[error("the read model is unavailable")]
    OutOfReach(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has lost its memory since it was last asked, and with it perhaps a newer view than the one to be written. The caller
    /// makes the view anew from what the log says now.
    #[error("the read model has lost its memory since it was last asked")]
    MemoryLost,
}

impl Unavailable {
    /// [`Unavailable::OutOfReach`] for a reason.
    pub fn out_of_reach(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::OutOfReach(source.into())
    }
}

/// A CRL as the signer published it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// The DER CertificateList.
    pub der: Vec<u8>,
    /// Its CRL number; only a higher one replaces it.
    pub number: u64,
    /// When the next one is due.
    pub next_update: Timestamp,
}

/// Views and indexes. Writes are guarded: of two writes of one view the one with the higher (sequence, schema) stays,
/// whatever order they arrive in.
#[async_trait]
pub trait ReadModel: Send + Sync {
    /// Reads an account's view; `None` is a miss, which says nothing about the log.
    async fn account(&self, id: &AccountId) -> Result<Option<View<account::State>>, Unavailable>;

    /// Writes an account's view unless a newer one is there.
    async fn put_account(&self, account: &View<account::State>) -> Result<(), Unavailable>;

    /// Reads an order's view; `None` is a miss, which says nothing about the log.
    async fn order(&self, id: &OrderId) -> Result<Option<View<order::State>>, Unavailable>;

    /// An order with this message folded into it, and perhaps later ones, if this process was about to write its view a moment
    /// ago: good to decide on, but others may not be able to read it. `None` says nothing.
    fn recent_order(&self, id: &OrderId, at_least: Sequence) -> Option<View<order::State>>;

    /// Writes an order's view unless a newer one is there.
    async fn put_order(&self, order: &View<order::State>) -> Result<(), Unavailable>;

    /// Reads a pre-authorization's view; `None` is a miss, which says nothing about the log.
    async fn pre_authorization(
        &self,
        id: &PreAuthorizationId,
    ) -> Result<Option<View<pre_authorization::State>>, Unavailable>;

    /// Writes a pre-authorization's view unless a newer one is there.
    async fn put_pre_authorization(
        &self,
        pre_authorization: &View<pre_authorization::State>,
    ) -> Result<(), Unavailable>;

    /// Finds a certificate by its serial, which is random enough to be unique over all issuers.
    /// [`Lookup::Missing`] tells how good it is.
    async fn certificate(&self, serial: &Serial) -> Result<Lookup<CertificateEntry>, Unavailable>;

    /// Adds certificates to the index by serial.
    async fn put_certificates(&self, entries: &[CertificateEntry]) -> Result<(), Unavailable>;

    /// Lists a part of an account's orders, together with how complete the index was at that moment: whoever needs all
    /// orders compares that with the log. A cursor that another adapter made starts anywhere.
    async fn orders_page(&self, query: &OrdersQuery<'_>) -> Result<OrdersPage, Unavailable>;

    /// Adds orders to the index by account.
    async fn put_order_entries(&self, entries: &[OrderEntry]) -> Result<(), Unavailable>;

    /// Up to which message of a stream the indexes built from it are complete.
    async fn complete_to(&self, stream: Stream) -> Result<Sequence, Unavailable>;

    /// Says that the indexes built from a stream are complete to a message; never moves back.
    ///
    /// # Errors
    /// Also when entries may have been lost since the caller last read [`ReadModel::complete_to`], by a failover or by
    /// [`ReadModel::clear`]: it reads the marker again and indexes on from there.
    async fn mark_complete(&self, stream: Stream, sequence: Sequence) -> Result<(), Unavailable>;

    /// Reads the newest CRL of a name.
    async fn crl(&self, name: &CrlName) -> Result<Option<Arc<Crl>>, Unavailable>;

    /// Publishes a CRL unless one with the same or a higher number is there.
    async fn put_crl(&self, name: &CrlName, crl: &Crl) -> Result<(), Unavailable>;

    /// Forgets every view and index, for a rebuild. CRLs stay: they are not folded from the log.
    async fn clear(&self) -> Result<(), Unavailable>;
}
