//! Takes finalized orders from the log, several at a time.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::OrderId;
use eventstore::{Delivery, Message, Sequence, StoredEvent, Stream, Subscription};
use runtime::{
    Check, LogThrottle,
    metrics::{delivered, names},
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info_span, warn};

use crate::{
    desk::{Desk, now},
    issuance,
};

/// The name of the signers' durable consumer.
const CONSUMER: &str = "signer";
/// The types of the events after which there is something to do for an order.
const TYPES: [&str; 2] = ["OrderFinalized", "CaaChecked"];
/// How many orders are worked on at once: enough to share each fsync, few enough for a crash to leave little half done.
const CONCURRENCY: usize = 64;
/// How long a failed issuance waits before it is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// How often it is checked whether every stream delivers again: after an outage no message may come for a long time.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);
/// How long issuances that have begun may go on after the stop.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether an order has to come again.
enum Next {
    Done,
    Again,
}

pub(crate) struct Worker {
    desk: Arc<Desk>,
    health: Check,
    /// The orders that tasks have taken.
    under_way: Mutex<HashSet<OrderId>>,
    /// Bounds how often the same failure of issuances that are tried again is logged.
    complaints: LogThrottle,
}

/// An order that one task works on.
struct Taken<'a> {
    worker: &'a Worker,
    order: &'a OrderId,
}

impl Worker {
    pub(crate) fn new(desk: Arc<Desk>, health: Check) -> Self {
        Self { desk, health, under_way: Mutex::default(), complaints: LogThrottle::default() }
    }

    /// Works on orders until told to stop, then finishes those that are begun.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut issuing = JoinSet::new();
        while !stop.is_cancelled() {
            let streams = Stream::orders(self.desk.settings.order_shards);
            let subscribed = tokio::select! {
                subscribed = self.desk.ports.feed.subscribe(CONSUMER, &streams) => subscribed,
                () = stop.cancelled() => break,
            };
            let failed = match subscribed {
                Ok(subscription) => self.consume(subscription, &mut issuing, &stop).await,
                Err(error) => Some(error),
            };
            if let Some(error) = failed {
                self.out_of_reach(&error);
                tokio::select! {
                    () = tokio::time::sleep(RETRY_DELAY) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        let finished = async { while issuing.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_TIMEOUT, finished).await.is_err() {
            warn!(orders = issuing.len(), "issuances given up that the next start goes on with");
            issuing.shutdown().await;
        }
    }

    async fn consume(
        self: &Arc<Self>,
        mut subscription: Box<dyn Subscription>,
        issuing: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Option<eventstore::StoreError> {
        let mut ticks = interval(HEALTH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut paused_until = Instant::now();
        loop {
            let delivery = tokio::select! {
                () = stop.cancelled() => return None,
                Some(ended) = issuing.join_next(), if !issuing.is_empty() => {
                    if let Err(error) = ended {
                        error!(%error, "an issuance panicked; its message comes again");
                    }
                    continue;
                }
                _ = ticks.tick() => {
                    if subscription.delivers() {
                        self.health.ready();
                    }
                    continue;
                }
                delivery = subscription.next_after(paused_until),
                    if issuing.len() < CONCURRENCY => delivery,
            };
            match delivery {
                Ok(delivery) => {
                    let lag = delivery.message.envelope.at.until(now());
                    delivered(CONSUMER, delivery.attempt, lag);
                    match order_to_issue(&delivery.message) {
                        Some(order) => {
                            issuing.spawn(Arc::clone(self).handle(order, delivery));
                        }
                        None => log_unsettled(delivery.ack().await),
                    }
                }
                // One stream does not deliver, and goes on by itself; the others do.
                Err(error) if !subscription.delivers() => {
                    self.out_of_reach(&error);
                    paused_until = Instant::now() + RETRY_DELAY;
                }
                Err(error) => return Some(error),
            }
        }
    }

    /// Works on one order and acknowledges; what failed comes again.
    async fn handle(self: Arc<Self>, order: OrderId, delivery: Delivery) {
        let message = &delivery.message;
        let span = info_span!("issue", %order);
        if let Some(parent) = &message.envelope.traceparent {
            runtime::telemetry::set_parent(&span, parent);
        }
        let issuing = self.issue(&order, message.sequence).instrument(span);
        log_unsettled(match delivery.while_in_progress(issuing).await {
            Next::Done => delivery.ack().await,
            Next::Again => delivery.nak(RETRY_DELAY).await,
        });
    }

    /// Works on the order, unless another task of this process does.
    async fn issue(&self, order: &OrderId, at_least: Sequence) -> Next {
        let Some(_taken) = self.take(order) else { return Next::Again };
        match issuance::issue(&self.desk, order, at_least).await {
            Ok(()) => Next::Done,
            Err(error) => {
                let error = &error as &(dyn std::error::Error + 'static);
                // Each order that is stuck comes here every two seconds.
                match self.complaints.due(error) {
                    Some(untold) => {
                        warn!(error, untold, "issuance not finished; it is tried again")
                    }
                    None => debug!(error, "issuance not finished; it is tried again"),
                }
                metrics::counter!(names::ISSUANCES_RETRIED).increment(1);
                Next::Again
            }
        }
    }

    /// Takes an order for the calling task until what is returned is dropped; `None` while another task of this process has it,
    /// because it was delivered again too early.
    fn take<'a>(&'a self, order: &'a OrderId) -> Option<Taken<'a>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(order.clone()).then(|| Taken { worker: self, order })
    }

    fn out_of_reach(&self, error: &eventstore::StoreError) {
        warn!(error = error as &dyn std::error::Error, "the event log does not deliver");
        self.health.not_ready("the event log does not deliver");
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut under_way = self.worker.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(self.order);
    }
}

/// The order for which there is something to do after a message.
fn order_to_issue(message: &Message) -> Option<OrderId> {
    let is_ours = |event: &StoredEvent| TYPES.iter().any(|kind| event.is(kind));
    message.envelope.events.iter().any(is_ours).then(|| message.subject.order_id()).flatten()
}

/// Logs that a delivery was not settled: its message comes again, and taking it twice does no harm.
fn log_unsettled(settled: Result<(), eventstore::StoreError>) {
    if let Err(error) = settled {
        warn!(error = &error as &dyn std::error::Error, "delivery not settled; it comes again");
    }
}
