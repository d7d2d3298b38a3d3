//! The ports over an embedded log and a read model beside it, with every use exposed to a plan.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    AccountId, CrlName, OrderId, PreAuthorizationId, Serial, account, order, pre_authorization,
};
use embedded::Embedded;
use eventstore::{
    Acknowledge, AppendError, Delivery, Envelope, EventFeed, EventStore, Expected, LocalCalls,
    Message, Sequence, StoreError, Stream, Subject, Subscription,
};
use readmodel::{
    Aggregates, CertificateEntry, Crl, Lookup, OrderEntry, OrdersPage, OrdersQuery, ReadModel,
    Unavailable, View,
};

use crate::faults::{CONFLICT, Fate, Faults, Port, pass};

/// A process's ports.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) log: Embedded,
    pub(crate) views: Arc<dyn ReadModel>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) calls: Arc<LocalCalls>,
    /// The orders that this process decided.
    pub(crate) recent: Arc<Mutex<HashMap<OrderId, View<order::State>>>>,
}

impl Faulty {
    pub(crate) fn aggregates(&self) -> Aggregates {
        Aggregates { store: Arc::new(self.clone()), views: Arc::new(self.clone()) }
    }

    pub(crate) fn signer_ports(&self) -> signer::Ports {
        signer::Ports {
            aggregates: self.aggregates(),
            feed: Arc::new(self.clone()),
            wakes: Arc::new(self.log.clone()),
            calls: Arc::<LocalCalls>::clone(&self.calls),
        }
    }
}

fn unavailable(why: &'static str) -> StoreError {
    StoreError::unavailable(why)
}

fn down(why: &'static str) -> Unavailable {
    Unavailable::OutOfReach(why.into())
}

/// What a plan knows a subject by: serials are random, but order ids are the test's own.
fn key(subject: &Subject) -> String {
    match subject.order_id() {
        Some(order) => order.to_string(),
        None => subject.stream().to_string(),
    }
}

#[async_trait]
impl EventStore for Faulty {
    async fn append(
        &self,
        subject: &Subject,
        expected: Expected,
        envelope: &Envelope,
    ) -> Result<Sequence, AppendError> {
        let fate = self.faults.fate(Port::Append, &key(subject));
        let failure = |why: &'static str| match why {
            CONFLICT => AppendError::Conflict,
            why => AppendError::unknown(why),
        };
        let work = self.log.append(subject, expected, envelope);
        if let Fate::Late(turns) = fate {
            let (log, subject, envelope) = (self.log.clone(), subject.clone(), envelope.clone());
            tokio::spawn(async move {
                pass(turns).await;
                log.append(&subject, expected, &envelope).await
            });
        }
        self.faults.meet(fate, failure, work).await
    }

    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        let work = self.log.read(subject, after);
        self.faults.meet(self.faults.fate(Port::Read, &key(subject)), unavailable, work).await
    }

    async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError> {
        let work = self.log.message(stream, sequence);
        self.faults
            .meet(self.faults.fate(Port::Message, &stream.to_string()), unavailable, work)
            .await
    }

    async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let work = self.log.scan(stream, after, limit);
        self.faults.meet(self.faults.fate(Port::Scan, &stream.to_string()), unavailable, work).await
    }

    async fn last_sequence(&self, stream: Stream) -> Result<Sequence, StoreError> {
        let work = self.log.last_sequence(stream);
        self.faults
            .meet(self.faults.fate(Port::LastSequence, &stream.to_string()), unavailable, work)
            .await
    }
}

#[async_trait]
impl ReadModel for Faulty {
    async fn account(&self, id: &AccountId) -> Result<Option<View<account::State>>, Unavailable> {
        self.views.account(id).await
    }

    async fn put_account(&self, account: &View<account::State>) -> Result<(), Unavailable> {
        self.views.put_account(account).await
    }

    async fn order(&self, id: &OrderId) -> Result<Option<View<order::State>>, Unavailable> {
        self.faults
            .meet(self.faults.fate(Port::View, id.as_str()), down, self.views.order(id))
            .await
    }

    fn recent_order(&self, id: &OrderId, at_least: Sequence) -> Option<View<order::State>> {
        let recent = self.recent.lock().unwrap();
        recent.get(id).filter(|order| order.sequence >= at_least).cloned()
    }

    async fn put_order(&self, order: &View<order::State>) -> Result<(), Unavailable> {
        let id = &order.state.id;
        if self.recent_order(id, order.sequence).is_none() {
            self.recent.lock().unwrap().insert(id.clone(), order.clone());
        }
        let work = self.views.put_order(order);
        let put = self.faults.meet(self.faults.fate(Port::PutView, id.as_str()), down, work).await;
        if put.is_err() {
            self.recent.lock().unwrap().remove(id);
        }
        put
    }

    async fn pre_authorization(
        &self,
        id: &PreAuthorizationId,
    ) -> Result<Option<View<pre_authorization::State>>, Unavailable> {
        self.views.pre_authorization(id).await
    }

    async fn put_pre_authorization(
        &self,
        view: &View<pre_authorization::State>,
    ) -> Result<(), Unavailable> {
        self.views.put_pre_authorization(view).await
    }

    async fn certificate(&self, serial: &Serial) -> Result<Lookup<CertificateEntry>, Unavailable> {
        self.views.certificate(serial).await
    }

    async fn put_certificates(&self, entries: &[CertificateEntry]) -> Result<(), Unavailable> {
        let order = entries.first().and_then(|entry| entry.order.as_ref());
        let order = order.map_or("none", OrderId::as_str);
        let work = self.views.put_certificates(entries);
        self.faults.meet(self.faults.fate(Port::PutIndex, order), down, work).await
    }

    async fn orders_page(&self, query: &OrdersQuery<'_>) -> Result<OrdersPage, Unavailable> {
        self.views.orders_page(query).await
    }

    async fn put_order_entries(&self, entries: &[OrderEntry]) -> Result<(), Unavailable> {
        self.views.put_order_entries(entries).await
    }

    async fn complete_to(&self, stream: Stream) -> Result<Sequence, Unavailable> {
        let work = self.views.complete_to(stream);
        self.faults.meet(self.faults.fate(Port::Index, &stream.to_string()), down, work).await
    }

    async fn mark_complete(&self, stream: Stream, sequence: Sequence) -> Result<(), Unavailable> {
        self.views.mark_complete(stream, sequence).await
    }

    async fn crl(&self, name: &CrlName) -> Result<Option<Arc<Crl>>, Unavailable> {
        self.faults.meet(self.faults.fate(Port::Crl, "crl"), down, self.views.crl(name)).await
    }

    async fn put_crl(&self, name: &CrlName, crl: &Crl) -> Result<(), Unavailable> {
        self.faults
            .meet(self.faults.fate(Port::PutCrl, "crl"), down, self.views.put_crl(name, crl))
            .await
    }

    async fn clear(&self) -> Result<(), Unavailable> {
        self.views.clear().await
    }
}

#[async_trait]
impl EventFeed for Faulty {
    async fn subscribe(
        &self,
        consumer: &str,
        streams: &[Stream],
    ) -> Result<Box<dyn Subscription>, StoreError> {
        let consumer = format!("{consumer}{}", self.faults.consumer_suffix);
        let inner = self.log.subscribe(&consumer, streams).await?;
        let faults = Arc::clone(&self.faults);
        Ok(Box::new(FaultySubscription { inner, faults, again: None }))
    }
}

struct FaultySubscription {
    inner: Box<dyn Subscription>,
    faults: Arc<Faults>,
    /// A second delivery of a message whose first one is still out.
    again: Option<Delivery>,
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn next(&mut self) -> Result<Delivery, StoreError> {
        if let Some(again) = self.again.take() {
            return Ok(again);
        }
        let inner = self.inner.next().await?;
        let key = key(&inner.message.subject);
        let (message, attempt) = (inner.message.clone(), inner.attempt);
        let receipt = |inner| {
            let faults = Arc::clone(&self.faults);
            Box::new(Receipt { inner: Mutex::new(inner), faults, key: key.clone() })
        };
        let first = Delivery::new(message.clone(), attempt, receipt(Some(inner)));
        match self.faults.fate(Port::Next, &key) {
            Fate::Done | Fate::Late(_) | Fate::Conflict | Fate::Forgotten => Ok(first),
            Fate::ReplyLost => {
                self.again = Some(Delivery::new(message, attempt + 1, receipt(None)));
                Ok(first)
            }
            Fate::Lost => Err(unavailable("the delivery was lost on purpose")),
            Fate::Slow(turns) => {
                pass(turns).await;
                Ok(first)
            }
            Fate::Crash | Fate::CrashAfter => self.faults.crash().await,
        }
    }

    fn delivers(&self) -> bool {
        self.inner.delivers()
    }
}

/// Acknowledges, or not; a copy has nothing to acknowledge.
struct Receipt {
    inner: Mutex<Option<Delivery>>,
    faults: Arc<Faults>,
    key: String,
}

impl Receipt {
    fn take(&self) -> Option<Delivery> {
        self.inner.lock().unwrap().take()
    }
}

#[async_trait]
impl Acknowledge for Receipt {
    async fn ack(&self) -> Result<(), StoreError> {
        let Some(delivery) = self.take() else { return Ok(()) };
        match self.faults.fate(Port::Acknowledge, &self.key) {
            Fate::Done | Fate::Slow(_) | Fate::Late(_) | Fate::Conflict | Fate::Forgotten => {
                delivery.ack().await
            }
            Fate::Lost | Fate::ReplyLost => {
                delivery.nak(self.faults.redelivery).await?;
                Err(unavailable("the acknowledgement was lost on purpose"))
            }
            Fate::Crash => {
                delivery.nak(self.faults.redelivery).await?;
                self.faults.crash().await
            }
            Fate::CrashAfter => {
                delivery.ack().await?;
                self.faults.crash().await
            }
        }
    }

    async fn nak(&self, delay: Duration) -> Result<(), StoreError> {
        match self.take() {
            Some(delivery) => delivery.nak(delay.min(self.faults.redelivery)).await,
            None => Ok(()),
        }
    }

    async fn in_progress(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a dead worker held comes again soon.
impl Drop for Receipt {
    fn drop(&mut self) {
        let redelivery = self.faults.redelivery;
        if let (Some(delivery), Ok(runtime)) = (self.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(delivery.nak(redelivery));
        }
    }
}
