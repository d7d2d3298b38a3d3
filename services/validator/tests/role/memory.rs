//! All ports over memory, with faults on demand, and a list of what became of each delivery.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    AccountId, CrlName, OrderId, PreAuthorizationId, Serial, account, order, pre_authorization,
};
use eventstore::{
    Acknowledge, Actor, AppendError, Delivery, Envelope, EventFeed, EventStore, Expected, Message,
    Sequence, StoreError, Stream, Subject, Subscription, Wake, Wakes,
};
use readmodel::{
    CertificateEntry, Crl, Lookup, OrderEntry, OrdersPage, OrdersQuery, ReadModel, Unavailable,
    View,
};
use tokio::sync::{Notify, broadcast, mpsc};

/// A delay that no test sees the end of.
const FOR_EVER: Duration = Duration::from_secs(600);

/// What became of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Acknowledged(Sequence),
    Again(Sequence),
    /// Not yet settled: work on it goes on.
    Kept(Sequence),
}

#[derive(Default)]
struct Inner {
    log: Vec<Message>,
    orders: HashMap<OrderId, View<order::State>>,
    pre_authorizations: HashMap<PreAuthorizationId, View<pre_authorization::State>>,
    /// Messages to deliver, with the attempt.
    deliverable: VecDeque<(Message, u64)>,
    failing_appends: usize,
    panicking_outcomes: usize,
    confirms_after: Duration,
    /// Whether the next delivery fails.
    interrupted: bool,
}

/// The ports.
#[derive(Clone)]
pub(crate) struct Memory {
    inner: Arc<Mutex<Inner>>,
    news: Arc<Notify>,
    wakes: broadcast::Sender<Wake>,
    settled: mpsc::UnboundedSender<Settled>,
}

impl Memory {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Settled>) {
        let (settled, outcomes) = mpsc::unbounded_channel();
        let (wakes, _) = broadcast::channel(16);
        (Self { inner: Arc::default(), news: Arc::default(), wakes, settled }, outcomes)
    }

    /// Lets the next appends fail.
    pub(crate) fn fail_appends(&self, count: usize) {
        self.inner.lock().unwrap().failing_appends = count;
    }

    /// Lets the appending of the next outcomes panic.
    pub(crate) fn panic_at_outcomes(&self, count: usize) {
        self.inner.lock().unwrap().panicking_outcomes = count;
    }

    /// How many of them are left.
    pub(crate) fn panicking_outcomes(&self) -> usize {
        self.inner.lock().unwrap().panicking_outcomes
    }

    /// Takes so long to say that a message was given back.
    pub(crate) fn confirm_after(&self, time: Duration) {
        self.inner.lock().unwrap().confirms_after = time;
    }

    /// Has the feed fail once.
    pub(crate) fn interrupt(&self) {
        self.inner.lock().unwrap().interrupted = true;
        self.news.notify_one();
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.inner.lock().unwrap().interrupted
    }

    /// Delivers a message again.
    pub(crate) fn deliver_again(&self, sequence: Sequence, attempt: u64) {
        let mut inner = self.inner.lock().unwrap();
        let place = usize::try_from(sequence.0).unwrap() - 1;
        let message = inner.log[place].clone();
        inner.deliverable.push_back((message, attempt));
        self.news.notify_one();
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.inner.lock().unwrap().log.clone()
    }
}

#[async_trait]
impl EventStore for Memory {
    async fn append(
        &self,
        subject: &Subject,
        expected: Expected,
        envelope: &Envelope,
    ) -> Result<Sequence, AppendError> {
        let mut inner = self.inner.lock().unwrap();
        if inner.failing_appends > 0 {
            inner.failing_appends -= 1;
            return Err(AppendError::unavailable("told to fail"));
        }
        if envelope.actor == Actor::Validator && inner.panicking_outcomes > 0 {
            inner.panicking_outcomes -= 1;
            drop(inner);
            panic!("told to panic");
        }
        let last = inner.log.iter().rev().find(|message| message.subject == *subject);
        let last = last.map_or(Sequence::NONE, |message| message.sequence);
        if matches!(expected, Expected::Last(sequence) if sequence != last) {
            return Err(AppendError::Conflict);
        }
        let sequence = Sequence(inner.log.len() as u64 + 1);
        let message = Message { subject: subject.clone(), sequence, envelope: envelope.clone() };
        inner.log.push(message.clone());
        inner.deliverable.push_back((message, 1));
        self.news.notify_one();
        Ok(sequence)
    }

    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        let wanted = |message: &Message| message.subject == *subject && message.sequence > after;
        Ok(self.messages().into_iter().filter(wanted).collect())
    }

    async fn message(&self, _: Stream, _: Sequence) -> Result<Option<Message>, StoreError> {
        Err(StoreError::unavailable("not needed"))
    }

    async fn scan(&self, _: Stream, _: Sequence, _: usize) -> Result<Vec<Message>, StoreError> {
        Err(StoreError::unavailable("not needed"))
    }

    async fn last_sequence(&self, _: Stream) -> Result<Sequence, StoreError> {
        Err(StoreError::unavailable("not needed"))
    }
}

#[async_trait]
impl EventFeed for Memory {
    async fn subscribe(&self, _: &str, _: &[Stream]) -> Result<Box<dyn Subscription>, StoreError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Subscription for Memory {
    async fn next(&mut self) -> Result<Delivery, StoreError> {
        loop {
            if std::mem::take(&mut self.inner.lock().unwrap().interrupted) {
                return Err(StoreError::unavailable("told to fail"));
            }
            let next = self.inner.lock().unwrap().deliverable.pop_front();
            if let Some((message, attempt)) = next {
                let receipt = Receipt { memory: self.clone(), sequence: message.sequence, attempt };
                return Ok(Delivery::new(message, attempt, Box::new(receipt)));
            }
            self.news.notified().await;
        }
    }

    fn delivers(&self) -> bool {
        true
    }
}

struct Receipt {
    memory: Memory,
    sequence: Sequence,
    attempt: u64,
}

#[async_trait]
impl Acknowledge for Receipt {
    async fn ack(&self) -> Result<(), StoreError> {
        let _ = self.memory.settled.send(Settled::Acknowledged(self.sequence));
        Ok(())
    }

    async fn nak(&self, delay: Duration) -> Result<(), StoreError> {
        let confirms_after = self.memory.inner.lock().unwrap().confirms_after;
        tokio::time::sleep(confirms_after).await;
        let _ = self.memory.settled.send(Settled::Again(self.sequence));
        // Nobody waits here; what comes later than a test may last does not come.
        if delay < FOR_EVER {
            self.memory.deliver_again(self.sequence, self.attempt + 1);
        }
        Ok(())
    }

    async fn in_progress(&self) -> Result<(), StoreError> {
        let _ = self.memory.settled.send(Settled::Kept(self.sequence));
        Ok(())
    }
}

#[async_trait]
impl Wakes for Memory {
    async fn publish(&self, wake: Wake) {
        let _ = self.wakes.send(wake);
    }

    fn subscribe(&self) -> broadcast::Receiver<Wake> {
        self.wakes.subscribe()
    }
}

fn unneeded<T>() -> Result<T, Unavailable> {
    Err(Unavailable::OutOfReach("not needed".into()))
}

#[async_trait]
impl ReadModel for Memory {
    async fn account(&self, _: &AccountId) -> Result<Option<View<account::State>>, Unavailable> {
        unneeded()
    }

    async fn put_account(&self, _: &View<account::State>) -> Result<(), Unavailable> {
        unneeded()
    }

    async fn order(&self, id: &OrderId) -> Result<Option<View<order::State>>, Unavailable> {
        Ok(self.inner.lock().unwrap().orders.get(id).cloned())
    }

    fn recent_order(&self, _: &OrderId, _: Sequence) -> Option<View<order::State>> {
        None
    }

    async fn put_order(&self, order: &View<order::State>) -> Result<(), Unavailable> {
        let mut inner = self.inner.lock().unwrap();
        inner.orders.insert(order.state.id.clone(), order.clone());
        Ok(())
    }

    async fn pre_authorization(
        &self,
        id: &PreAuthorizationId,
    ) -> Result<Option<View<pre_authorization::State>>, Unavailable> {
        Ok(self.inner.lock().unwrap().pre_authorizations.get(id).cloned())
    }

    async fn put_pre_authorization(
        &self,
        view: &View<pre_authorization::State>,
    ) -> Result<(), Unavailable> {
        let mut inner = self.inner.lock().unwrap();
        inner.pre_authorizations.insert(view.state.id.clone(), view.clone());
        Ok(())
    }

    async fn certificate(&self, _: &Serial) -> Result<Lookup<CertificateEntry>, Unavailable> {
        unneeded()
    }

    async fn put_certificates(&self, _: &[CertificateEntry]) -> Result<(), Unavailable> {
        unneeded()
    }

    async fn orders_page(&self, _: &OrdersQuery<'_>) -> Result<OrdersPage, Unavailable> {
        unneeded()
    }

    async fn put_order_entries(&self, _: &[OrderEntry]) -> Result<(), Unavailable> {
        unneeded()
    }

    async fn complete_to(&self, _: Stream) -> Result<Sequence, Unavailable> {
        unneeded()
    }

    async fn mark_complete(&self, _: Stream, _: Sequence) -> Result<(), Unavailable> {
        unneeded()
    }

    async fn crl(&self, _: &CrlName) -> Result<Option<Arc<Crl>>, Unavailable> {
        unneeded()
    }

    async fn put_crl(&self, _: &CrlName, _: &Crl) -> Result<(), Unavailable> {
        unneeded()
    }

    async fn clear(&self) -> Result<(), Unavailable> {
        unneeded()
    }
}
