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
use eventstore::{Acknowledge, StoreError};
use tokio::{runtime::Handle, time::Instant};

use super::{Consumer, consumer::Kind};
use crate::connection::Connection;

/// When a worker dropped a message without a word, it may well fail at the next attempt: not at once again.
const REDELIVER_AFTER_DROP: Duration = Duration::from_secs(1);

/// A message that no worker has seen. Dropping it gives it back.
pub(crate) struct Received {
    message: Message,
    /// When another worker gets it, if there are others.
    due: Option<Instant>,
    pub(super) sequence: u64,
    /// The how manieth message of its consumer it is.
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

    /// This message, unless its time is up.
    pub(super) fn still_pending(self) -> Option<Self> {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return Some(self);
        }
        self.receipt.settled.store(true, Ordering::Relaxed);
        None
    }

    pub(super) fn subject(&self) -> &str {
        &self.message.subject
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.message.payload
    }

    /// Leaves the message to a worker.
    pub(super) fn hand_out(mut self) -> Receipt {
        self.receipt.redeliver_after = Some(REDELIVER_AFTER_DROP);
        self.receipt
    }
}

impl Receipt {
    async fn say(&self, kind: AckKind) -> Result<(), StoreError> {
        self.connection.publish(self.reply.clone(), kind.into()).await
    }

    async fn settle(&self, kind: AckKind) -> Result<(), StoreError> {
        self.say(kind).await?;
        self.settled.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[async_trait]
impl Acknowledge for Receipt {
    async fn ack(&self) -> Result<(), StoreError> {
        self.settle(AckKind::Ack).await
    }

    async fn nak(&self, delay: Duration) -> Result<(), StoreError> {
        self.settle(AckKind::Nak(Some(delay))).await
    }

    async fn in_progress(&self) -> Result<(), StoreError> {
        self.say(AckKind::Progress).await
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if mem::replace(self.settled.get_mut(), true) {
            return;
        }
        // Without a runtime, or a connection, the message comes back when its time is up.
        let Ok(runtime) = Handle::try_current() else { return };
        let (connection, reply) = (self.connection.clone(), self.reply.clone());
        let nak = AckKind::Nak(self.redeliver_after).into();
        runtime.spawn(async move {
            if let Err(error) = connection.publish(reply, nak).await {
                tracing::debug!(%error, "a message was not given back");
            }
        });
    }
}
