//! A message that was received and is to be acknowledged or given back.

use std::{
    mem,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_nats::{
    Message,
    jetstream::{self, AckKind},
};
use async_trait::async_trait;
use bytes::Bytes;
use eventstore::{Acknowledge, StoreError};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::{Consumer, consumer::Kind};
use crate::{
    connection::{ApiError, Connection},
    stored::Stored,
};

/// The wait before a message comes again that a worker dropped without a word: the next attempt may well fail, too.
const REDELIVER_AFTER_DROP: Duration = Duration::from_secs(1);
/// The wait before a message comes again that cannot be read: only another release can change that.
const REDELIVER_UNREADABLE: Duration = Duration::from_secs(30);
/// How long to retry giving a message back. It mostly fails for the same reason as the work: a server stopped.
const GIVE_BACK_PATIENCE: Duration = Duration::from_secs(10);
/// The pause before it is tried again.
const GIVE_BACK_PAUSE: Duration = Duration::from_millis(200);

/// A message that no worker has seen. Dropping it gives it back.
pub(crate) struct Received {
    message: Message,
    /// When it is delivered again, perhaps to another worker; `None` where nothing is delivered again.
    due: Option<Instant>,
    pub(super) sequence: u64,
    /// Its number among the messages that the consumer delivered.
    pub(super) place: u64,
    pub(super) attempt: u64,
    receipt: Receipt,
}

/// What a worker says about a message. Dropping it without a word gives the message back.
pub(crate) struct Receipt {
    connection: Connection,
    reply: async_nats::Subject,
    redeliver_after: Option<Duration>,
    settled: AtomicBool,
}

impl Received {
    /// Takes a message of a consumer; `None` when it does not come from one.
    pub(super) fn new(consumer: &Consumer, mut message: Message) -> Option<Self> {
        let connection = &consumer.connection;
        let (due, settled) = match consumer.kind {
            Kind::Shared { ack_wait, .. } => (Some(Instant::now() + ack_wait), false),
            // Nobody waits for an acknowledgement.
            Kind::Follower { .. } => (None, true),
        };
        let reply = message.reply.clone()?;
        let delivery = jetstream::Message { message, context: connection.context().clone() };
        let (sequence, place, attempt) = {
            let info = delivery.info().ok()?;
            let attempt = u64::try_from(info.delivered).ok()?;
            (info.stream_sequence, info.consumer_sequence, attempt)
        };
        message = delivery.message;
        let receipt = Receipt {
            connection: connection.clone(),
            reply,
            redeliver_after: None,
            settled: AtomicBool::new(settled),
        };
        Some(Self { message, due, sequence, place, attempt, receipt })
    }

    /// This message, unless it is being delivered again by now.
    pub(super) fn still_pending(self) -> Option<Self> {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return Some(self);
        }
        self.receipt.settled.store(true, Ordering::Relaxed);
        None
    }

    pub(super) fn stored(&self) -> Stored<'_> {
        Stored {
            subject: &self.message.subject,
            sequence: self.sequence,
            headers: self.message.headers.as_ref(),
            payload: &self.message.payload,
        }
    }

    /// Whether the consumer waits for an acknowledgement.
    pub(super) fn needs_ack(&self) -> bool {
        self.due.is_some()
    }

    /// Has it delivered to nobody again.
    pub(super) async fn pass_over(self) {
        if self.needs_ack()
            && let Err(error) = self.receipt.ack().await
        {
            tracing::debug!(%error, "a message is passed over again later");
        }
    }

    /// Has it delivered again much later, perhaps to a release that can read it.
    pub(super) async fn postpone(self, unreadable: &StoreError) {
        let Stored { subject, sequence, .. } = self.stored();
        tracing::error!(
            subject,
            sequence,
            error = unreadable as &dyn std::error::Error,
            "a message cannot be read"
        );
        if let Err(error) = self.receipt.nak(REDELIVER_UNREADABLE).await {
            tracing::debug!(%error, "an unreadable message comes again soon");
        }
    }

    /// Leaves the message to a worker.
    pub(super) fn hand_out(mut self) -> Receipt {
        self.receipt.redeliver_after = Some(REDELIVER_AFTER_DROP);
        self.receipt
    }
}

impl Receipt {
    async fn send(&self, kind: AckKind) -> Result<(), StoreError> {
        self.connection.publish(self.reply.clone(), kind.into()).await
    }

    fn give_back(&self, redeliver_after: Option<Duration>) -> GiveBack {
        let (connection, reply) = (self.connection.clone(), self.reply.clone());
        GiveBack { connection, reply, nak: AckKind::Nak(redeliver_after).into() }
    }
}

/// Says that another worker may have a message.
struct GiveBack {
    connection: Connection,
    reply: async_nats::Subject,
    nak: Bytes,
}

impl GiveBack {
    async fn try_once(&self) -> Result<(), ApiError> {
        self.connection.publish_confirmed(self.reply.clone(), self.nak.clone()).await
    }

    /// Tries until it succeeds, for a bounded time. If it never does, the message comes back when its time is up.
    async fn retry(self) {
        let deadline = Instant::now() + GIVE_BACK_PATIENCE;
        while let Err(error) = self.try_once().await {
            if Instant::now() > deadline {
                return tracing::debug!(%error, "a message was not given back");
            }
            sleep(GIVE_BACK_PAUSE).await;
        }
    }
}

#[async_trait]
impl Acknowledge for Receipt {
    async fn ack(&self) -> Result<(), StoreError> {
        self.send(AckKind::Ack).await?;
        self.settled.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn nak(&self, delay: Duration) -> Result<(), StoreError> {
        self.settled.store(true, Ordering::Relaxed);
        let giving = self.give_back(Some(delay));
        if giving.try_once().await.is_err() {
            tokio::spawn(giving.retry());
        }
        Ok(())
    }

    async fn in_progress(&self) -> Result<(), StoreError> {
        self.send(AckKind::Progress).await
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if mem::replace(self.settled.get_mut(), true) {
            return;
        }
        // Without a runtime the message comes back when its time is up.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(self.give_back(self.redeliver_after).retry());
    }
}
