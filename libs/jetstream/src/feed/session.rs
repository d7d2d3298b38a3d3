//! One subscription to a consumer's messages, and the requests that fill it.

use std::{collections::VecDeque, mem, time::Duration};

use async_nats::{
    Message, StatusCode, Subscriber,
    jetstream::consumer::{PullConsumer, pull::BatchConfig},
};
use futures::StreamExt as _;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{Consumer, Received, pull::Ended};
use crate::connection::{ApiError, Link};

/// How long a request waits at the server.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it still knows of the request.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After this silence the request is made anew: the consumer's leader was lost, or has changed.
const SILENCE: Duration = Duration::from_millis(2500);
/// How long messages that were under way when a worker left are waited for, to give them back.
const DRAIN: Duration = Duration::from_secs(1);

/// What a server says when the consumer must be looked for anew.
const MOVED: [&str; 3] = ["Consumer Deleted", "Leadership Change", "Server Shutdown"];

/// One subscription to the consumer's messages.
pub(super) struct Session<'a> {
    consumer: &'a Consumer,
    inbox: async_nats::Subject,
    pub(super) subscriber: Subscriber,
    pub(super) queue: VecDeque<Received>,
    /// How many messages the server still owes to the last request.
    pub(super) owed: usize,
    /// When the silence of the server counts as a failure.
    pub(super) silent_at: Instant,
    /// Whether the consumer has answered since it was asked, or since it last fell silent.
    pub(super) answered: bool,
    /// Whether nothing was delivered since the last request.
    pub(super) idle: bool,
    pub(super) link: watch::Receiver<Link>,
    /// How many messages the consumer has sent.
    sent: u64,
}

impl<'a> Session<'a> {
    pub(super) async fn open(consumer: &'a Consumer) -> Result<Self, Ended> {
        let connection = &consumer.connection;
        connection.wait_until_up().await?;
        let mut link = connection.link();
        // Only what happens from here on concerns this session.
        link.mark_unchanged();
        let inbox = async_nats::Subject::from(connection.client.new_inbox());
        let subscriber = connection.answered(connection.client.subscribe(inbox.clone())).await?;
        let subscriber = subscriber.map_err(|_| ApiError::Disconnected)?;
        let (queue, silent_at) = (VecDeque::new(), Instant::now());
        let (owed, answered, idle, sent) = (0, false, false, 0);
        Ok(Self { consumer, inbox, subscriber, queue, owed, silent_at, answered, idle, link, sent })
    }

    /// Asks for as many messages as there is room for.
    pub(super) async fn request(&mut self, joined: &PullConsumer) -> Result<(), Ended> {
        self.owed = self.consumer.prefetch().saturating_sub(self.queue.len());
        let batch = BatchConfig {
            batch: self.owed,
            expires: Some(EXPIRES),
            idle_heartbeat: HEARTBEAT,
            ..BatchConfig::default()
        };
        let connection = &self.consumer.connection;
        if !connection.is_up() {
            return Err(ApiError::Disconnected.into());
        }
        let asked = connection.answered(joined.request_batch(batch, self.inbox.clone())).await?;
        asked.map_err(|_| ApiError::Disconnected)?;
        self.idle = true;
        self.silent_at = Instant::now() + SILENCE;
        Ok(())
    }

    /// Deals with a server that was silent for too long: the request is made anew, unless nothing was answered since the last time.
    pub(super) fn on_silence(&mut self) -> Result<(), Ended> {
        self.owed = 0;
        let answered = mem::take(&mut self.answered);
        if answered { Ok(()) } else { Err(ApiError::TimedOut.into()) }
    }

    /// Takes what the server sent to the subscription: a message, or news of the request.
    pub(super) fn receive(&mut self, message: Message) -> Result<(), Ended> {
        self.silent_at = Instant::now() + SILENCE;
        match message.status {
            None | Some(StatusCode::OK) => {
                (self.answered, self.idle) = (true, false);
                self.owed = self.owed.saturating_sub(1);
                let Some(received) = Received::new(self.consumer, message) else { return Ok(()) };
                self.sent += 1;
                if self.consumer.is_follower() && received.place != self.sent {
                    return Err(Ended::Gap);
                }
                self.queue.push_back(received);
                Ok(())
            }
            Some(StatusCode::IDLE_HEARTBEAT) => {
                self.answered = true;
                Ok(())
            }
            Some(StatusCode::NO_RESPONDERS) => Err(Ended::ConsumerGone),
            // The request has expired.
            Some(StatusCode::TIMEOUT) => {
                self.owed = 0;
                Ok(())
            }
            Some(status) => {
                let text = message.description.as_deref().unwrap_or_default();
                if MOVED.contains(&text) {
                    return Err(Ended::ConsumerGone);
                }
                tracing::warn!(%status, text, "the server refuses a request for messages");
                Err(Ended::Refused)
            }
        }
    }

    /// Gives everything back, also what is still under way.
    pub(super) async fn close(mut self) {
        self.queue.clear();
        if self.subscriber.drain().await.is_err() {
            return;
        }
        while let Ok(Some(message)) = timeout(DRAIN, self.subscriber.next()).await {
            if message.status.is_none() {
                drop(Received::new(self.consumer, message));
            }
        }
    }
}
