//! A node's loop: takes deliveries, gives them turns, and keeps them from coming again before they are done.

use std::{error::Error, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use domain::AccountId;
use eventstore::{Delivery, KEEP_ALIVE, StoreError, Stream, Subscription};
use futures::FutureExt as _;
use metrics::gauge;
use runtime::{
    Check,
    metrics::{delivered, names},
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::{
    Settings,
    desk::{self, Desk},
    pace::Pace,
    queue::FairQueue,
    task::Task,
};

/// The durable consumer that all validators share.
const CONSUMER: &str = "validator";
/// How many challenges wait for a turn for each one that can run.
const WAITING_PER_SLOT: usize = 4;
/// How many messages are given back at once: the log confirms each, and the loop does not wait for that.
const GIVING_BACK: usize = 256;
/// When the log is asked again after it failed.
const RETRY: Duration = Duration::from_secs(1);
/// When a message that this release cannot read comes back; a newer node may take it.
const UNREADABLE_DELAY: Duration = Duration::from_secs(30);
/// How long running validations may take once the node stops; the others are delivered again.
const STOP_PATIENCE: Duration = Duration::from_millis(2500);

/// One validator node.
pub(crate) struct Worker {
    desk: Arc<Desk>,
    concurrency: usize,
    streams: Vec<Stream>,
    health: Check,
    queue: FairQueue<(Delivery, Task)>,
    pace: Pace,
    running: JoinSet<(AccountId, Duration)>,
    giving_back: JoinSet<()>,
}

impl Worker {
    /// Makes a worker.
    pub(crate) fn new(desk: Arc<Desk>, settings: &Settings, health: Check) -> Self {
        let concurrency = settings.concurrency.max(1);
        Self {
            desk,
            concurrency,
            streams: streams(settings.order_shards),
            health,
            queue: FairQueue::new(concurrency * WAITING_PER_SLOT),
            pace: Pace::new(concurrency),
            running: JoinSet::new(),
            giving_back: JoinSet::new(),
        }
    }

    /// Works until told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let subscribed = stop.run_until_cancelled(self.subscribe()).await;
        if let Some(mut subscription) = subscribed {
            self.work(subscription.as_mut(), &stop).await;
        }
        // What waits is dropped, and so delivered to another node.
        let finishing = async {
            while self.giving_back.join_next().await.is_some() {}
            while self.running.join_next().await.is_some() {}
        };
        if timeout(STOP_PATIENCE, finishing).await.is_err() {
            warn!(
                unfinished = self.running.len(),
                "validations under way are left to another node"
            );
        }
    }

    async fn subscribe(&self) -> Box<dyn Subscription> {
        loop {
            match self.desk.ports.feed.subscribe(CONSUMER, &self.streams).await {
                Ok(subscription) => {
                    self.health.ready();
                    return subscription;
                }
                Err(error) => self.out_of_reach(&error),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn work(&mut self, subscription: &mut dyn Subscription, stop: &CancellationToken) {
        let mut paused_until = Instant::now();
        let mut ticks = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.fill_slots();
            gauge!(names::VALIDATIONS_RUNNING)
                .set(u32::try_from(self.running.len()).unwrap_or(u32::MAX));
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = self.running.join_next() => {
                    if let Ok((account, took)) = ended {
                        self.queue.ended(&account);
                        self.pace.note(took);
                    }
                }
                Some(_) = self.giving_back.join_next() => {}
                next = subscription.next_after(paused_until), if self.has_room() => match next {
                    Ok(delivery) => {
                        // One stream may deliver while another does not.
                        if subscription.delivers() {
                            self.health.ready();
                        }
                        self.take(delivery).await;
                    }
                    Err(error) => {
                        self.out_of_reach(&error);
                        paused_until = Instant::now() + RETRY;
                    }
                },
                _ = ticks.tick() => {
                    self.pace.forget_ended(Instant::now());
                    // After an outage nothing may come for long.
                    if Instant::now() > paused_until && subscription.delivers() {
                        self.health.ready();
                    }
                    self.keep_waiting_alive().await;
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.queue.has_room() && self.giving_back.len() < GIVING_BACK
    }

    /// Starts work that waits in every idle slot.
    fn fill_slots(&mut self) {
        while self.running.len() < self.concurrency {
            let Some((account, (delivery, task))) = self.queue.pop() else { return };
            let desk = Arc::clone(&self.desk);
            self.running.spawn(async move {
                let started = Instant::now();
                let applicant = task.applicant.clone();
                let handling = AssertUnwindSafe(desk.handle(delivery, task)).catch_unwind();
                // A panic is a bug; but the account must not be taken for one that has this running for ever.
                if handling.await.is_err() {
                    error!(%applicant, "a task panicked; its delivery comes again");
                }
                (account, started.elapsed())
            });
        }
    }

    async fn take(&mut self, delivery: Delivery) {
        let lag = delivery.message.envelope.at.until(desk::now());
        delivered(CONSUMER, delivery.attempt, lag);
        match Task::of(&delivery.message) {
            Ok(None) => log_unsettled(delivery.ack().await),
            Ok(Some(task)) => {
                let pushed = self.queue.push(task.account.clone(), (delivery, task));
                // Its account has its share waiting.
                if let Err((delivery, task)) = pushed {
                    let waiting = self.queue.waiting_of(&task.account);
                    let wait = self.pace.delay(&task.account, waiting, Instant::now());
                    self.give_back(delivery, wait);
                }
            }
            Err(error) => {
                let subject = &delivery.message.subject;
                error!(error = &error as &dyn Error, %subject, "a message cannot be read; is this release too old?");
                self.give_back(delivery, UNREADABLE_DELAY);
            }
        }
    }

    fn give_back(&mut self, delivery: Delivery, wait: Duration) {
        self.giving_back.spawn(async move { log_unsettled(delivery.nak(wait).await) });
    }

    /// Tells the log that what waits is still wanted here.
    async fn keep_waiting_alive(&self) {
        for (delivery, _) in self.queue.waiting() {
            if let Err(error) = delivery.in_progress().await {
                warn!(error = &error as &dyn Error, "a waiting delivery may come again");
                return;
            }
        }
    }

    fn out_of_reach(&self, error: &StoreError) {
        warn!(error = error as &dyn Error, "the event log does not deliver");
        self.health.not_ready("the event log does not deliver");
    }
}

/// Logs that a delivery was not settled: its message comes again, and taking it twice does no harm.
fn log_unsettled(settled: Result<(), StoreError>) {
    if let Err(error) = settled {
        warn!(error = &error as &dyn Error, "delivery not settled; it comes again");
    }
}

/// Where challenges become ready: those of orders, and of pre-authorizations.
fn streams(order_shards: u8) -> Vec<Stream> {
    let mut streams = Stream::orders(order_shards);
    streams.push(Stream::Administration);
    streams
}
