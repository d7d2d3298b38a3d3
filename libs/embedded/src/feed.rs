//! Feeds: durable consumers over the log, told of news by the writing thread.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use eventstore::{
    Acknowledge, Delivery, EventFeed, Sequence, StoreError, Stream, Subscription, Wake, Wakes,
};
use tokio::{
    sync::{Notify, broadcast, futures::Notified, mpsc},
    time::{Instant, sleep_until},
};

use crate::{
    Damage, Embedded,
    consumer::{Consumer, PAGE, Step},
    error::ReadError,
    marks::Mark,
    queries,
    request::{Change, Request},
    shared::Shared,
};

/// After so many messages without an append that saves the mark of a consumer, the mark is saved on its own.
const SAVE_AFTER: u64 = 4096;
/// How many wakes a listener may lag behind.
const WAKES: usize = 4096;
/// The marks of consumers have names that begin so.
const MARK_PREFIX: &str = "consumer:";

/// Every consumer, and the wakes.
#[derive(Debug)]
pub(crate) struct Feeds {
    consumers: Mutex<HashMap<String, Arc<Registered>>>,
    wakes: broadcast::Sender<Wake>,
    /// Wakes whoever follows the log without being a consumer.
    appended: Notify,
    /// Weak, so that a delivery somebody holds does not keep the store open.
    writer: OnceLock<mpsc::WeakSender<Request>>,
}

#[derive(Debug)]
struct Registered {
    consumer: Consumer,
    /// Up to where the mark that is on the disk says that it is done.
    saved: AtomicU64,
}

impl Feeds {
    /// Consumers as their marks left them.
    pub(crate) fn new(marks: Vec<Mark>) -> Result<Self, ReadError> {
        let mut consumers = HashMap::new();
        for mark in marks {
            let Some(name) = mark.name.strip_prefix(MARK_PREFIX) else { continue };
            let left = read_detail(&mark.detail).ok_or_else(|| {
                Damage::Inconsistent(format!("the mark of {} names no streams", mark.name))
            })?;
            let saved = AtomicU64::new(mark.sequence.0);
            let registered = Registered { consumer: Consumer::new(left), saved };
            consumers.insert(name.to_owned(), Arc::new(registered));
        }
        let (wakes, _) = broadcast::channel(WAKES);
        let (consumers, appended) = (Mutex::new(consumers), Notify::new());
        Ok(Self { consumers, wakes, appended, writer: OnceLock::new() })
    }

    /// Names the thread that writes marks.
    pub(crate) fn attach(&self, writer: mpsc::WeakSender<Request>) {
        // There is one writing thread per store, so nothing is replaced.
        let _ = self.writer.set(writer);
    }

    /// Waits for the next append.
    pub(crate) fn news(&self) -> Notified<'_> {
        self.appended.notified()
    }

    /// Wakes the followers, and the consumers that read one of the streams; each wakes as many workers as it has messages for.
    pub(crate) fn announce(&self, streams: &[Stream]) {
        if streams.is_empty() {
            return;
        }
        self.appended.notify_waiters();
        for registered in self.lock().values() {
            if registered.consumer.wants(streams) {
                registered.consumer.news.notify_one();
            }
        }
    }

    /// Wakes every worker.
    pub(crate) fn wake_all(&self) {
        self.appended.notify_waiters();
        for registered in self.lock().values() {
            registered.consumer.news.notify_waiters();
        }
    }

    /// The marks of consumers that are further than their marks on the disk.
    pub(crate) fn unsaved_marks(&self) -> Vec<Mark> {
        let mark = |(name, registered): (&String, &Arc<Registered>)| {
            let (sequence, streams) = registered.consumer.done_by_stream();
            (sequence.0 > registered.saved.load(Ordering::Relaxed)).then(|| Mark {
                name: format!("{MARK_PREFIX}{name}"),
                sequence,
                detail: write_detail(&streams),
            })
        };
        self.lock().iter().filter_map(mark).collect()
    }

    /// Notes that marks are on the disk.
    pub(crate) fn saved(&self, marks: &[Mark]) {
        let consumers = self.lock();
        for mark in marks {
            let name = mark.name.strip_prefix(MARK_PREFIX);
            if let Some(registered) = name.and_then(|name| consumers.get(name)) {
                registered.saved.store(mark.sequence.0, Ordering::Relaxed);
            }
        }
    }

    fn join(&self, name: &str, streams: &[Stream]) -> Arc<Registered> {
        let mut consumers = self.lock();
        let registered = consumers.entry(name.to_owned()).or_insert_with(|| {
            let consumer = Consumer::new(BTreeMap::new());
            Arc::new(Registered { consumer, saved: AtomicU64::new(0) })
        });
        registered.consumer.join(streams);
        Arc::clone(registered)
    }

    fn save_soon(&self) {
        if let Some(writer) = self.writer.get().and_then(mpsc::WeakSender::upgrade) {
            // When the queue is full, the next transaction takes the marks along anyway.
            let _ = writer.try_send(Request::change(Change::Marks).0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Registered>>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Streams and places as `orders-00=12 ledger=9`.
fn write_detail(streams: &BTreeMap<Stream, Sequence>) -> String {
    let parts: Vec<_> = streams.iter().map(|(stream, done)| format!("{stream}={done}")).collect();
    parts.join(" ")
}

fn read_detail(detail: &str) -> Option<BTreeMap<Stream, Sequence>> {
    let part = |part: &str| {
        let (stream, done) = part.split_once('=')?;
        Some((stream.parse().ok()?, Sequence(done.parse().ok()?)))
    };
    detail.split_whitespace().map(part).collect()
}

#[async_trait]
impl EventFeed for Embedded {
    /// All subscriptions of one name have to name the same streams: each may be handed messages of all of them.
    async fn subscribe(
        &self,
        consumer: &str,
        streams: &[Stream],
    ) -> Result<Box<dyn Subscription>, StoreError> {
        let shared = Arc::clone(self.shared());
        let registered = shared.feeds.join(consumer, streams);
        Ok(Box::new(LogSubscription { shared, registered }))
    }
}

#[async_trait]
impl Wakes for Embedded {
    async fn publish(&self, wake: Wake) {
        // Without a listener there is nobody to tell.
        let _ = self.shared().feeds.wakes.send(wake);
    }

    fn subscribe(&self) -> broadcast::Receiver<Wake> {
        self.shared().feeds.wakes.subscribe()
    }
}

struct LogSubscription {
    shared: Arc<Shared>,
    registered: Arc<Registered>,
}

#[async_trait]
impl Subscription for LogSubscription {
    async fn next(&mut self) -> Result<Delivery, StoreError> {
        let consumer = &self.registered.consumer;
        loop {
            let news = consumer.news.notified();
            tokio::pin!(news);
            // From here on no news is missed.
            news.as_mut().enable();
            if self.shared.is_closed() {
                return Err(StoreError::unavailable("the store is closed"));
            }
            match consumer.step(Instant::now(), &self.shared.recent) {
                Step::Deliver(message, attempt) => {
                    let receipt = Receipt {
                        shared: Arc::clone(&self.shared),
                        registered: Arc::clone(&self.registered),
                        sequence: message.sequence,
                        attempt,
                        settled: AtomicBool::new(false),
                    };
                    return Ok(Delivery::new(message, attempt, Box::new(receipt)));
                }
                Step::Load(after) => {
                    let _loading = Loading(consumer);
                    let query = self
                        .shared
                        .readers
                        .query(move |connection| queries::page(connection, after, PAGE));
                    consumer.admit(after, query.await?);
                }
                Step::Wait(None) => news.await,
                Step::Wait(Some(due)) => tokio::select! {
                    () = news => {}
                    () = sleep_until(due) => {}
                },
            }
        }
    }

    fn delivers(&self) -> bool {
        !self.shared.is_closed()
    }
}

/// Ends the reading of a page, also when the worker is cancelled meanwhile.
struct Loading<'a>(&'a Consumer);

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.end_loading();
    }
}

/// What became of one delivery; dropped unsettled, the message comes again.
struct Receipt {
    shared: Arc<Shared>,
    registered: Arc<Registered>,
    sequence: Sequence,
    attempt: u64,
    settled: AtomicBool,
}

#[async_trait]
impl Acknowledge for Receipt {
    async fn ack(&self) -> Result<(), StoreError> {
        if !self.settled.swap(true, Ordering::AcqRel) {
            let done = self.registered.consumer.acknowledge(self.sequence);
            if done.0 >= self.registered.saved.load(Ordering::Relaxed) + SAVE_AFTER {
                self.shared.feeds.save_soon();
            }
        }
        Ok(())
    }

    async fn nak(&self, delay: Duration) -> Result<(), StoreError> {
        if !self.settled.swap(true, Ordering::AcqRel) {
            self.registered.consumer.redeliver(self.sequence, Instant::now() + delay);
        }
        Ok(())
    }

    /// Nothing to do: a worker of this process that lives holds its deliveries for as long as it wants.
    async fn in_progress(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.settled.load(Ordering::Acquire) {
            self.registered.consumer.give_back(self.sequence, self.attempt, Instant::now());
        }
    }
}
