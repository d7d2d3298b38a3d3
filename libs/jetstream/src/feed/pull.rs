//! The task that pulls one stream's messages to one worker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::consumer::PullConsumer;
use eventstore::StoreError;
use futures::StreamExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{Consumer, Received, session::Session};
use crate::{connection::ApiError, stream_info::StreamInfo};

/// After this time without a word from a consumer its worker is told.
const SHORT_OUTAGE: Duration = Duration::from_secs(1);
/// The pauses before a consumer that failed is joined again: the first, the longest while another leader may be elected for
/// it, and the longest after that.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const ELECTION_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How long a consumer may be without a leader while nothing else is wrong.
const ELECTION_LIMIT: Duration = Duration::from_secs(15);
/// How often a consumer that delivers nothing is looked at: it may be paused, which servers do not tell whoever waits.
const LOOK_INTERVAL: Duration = Duration::from_mins(2);

type Worker = mpsc::Sender<Result<Received, StoreError>>;

/// Pulls from a consumer until the worker leaves.
pub(super) struct Pull {
    consumer: Consumer,
    joined: PullConsumer,
    joined_at: Instant,
    worker: Worker,
    interrupted: Arc<AtomicBool>,
    /// Whether the worker was told that the consumer is paused: somebody may want that, for hours.
    pause_reported: bool,
}

/// Why pulling came to an end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the worker has left")]
    Left,
    #[error("the log is out of reach")]
    OutOfReach(#[from] ApiError),
    #[error("the consumer is gone")]
    ConsumerGone,
    #[error("messages were lost on the way")]
    Gap,
    #[error("the server refuses to deliver")]
    Refused,
    #[error("the consumer was paused: resume it with `nats consumer resume`")]
    Paused,
}

impl Pull {
    pub(super) fn new(consumer: Consumer, joined: PullConsumer, worker: Worker) -> Self {
        let (joined_at, interrupted) = (Instant::now(), Arc::default());
        Self { consumer, joined, joined_at, worker, interrupted, pause_reported: false }
    }

    /// Whether the worker was told of an outage that goes on.
    pub(super) fn interrupted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupted)
    }

    /// Runs until the worker has left.
    pub(super) async fn run(mut self) {
        let mut outage = Outage::default();
        loop {
            match self.pull(&mut outage).await {
                Ended::Left => return,
                ended @ (Ended::OutOfReach(_)
                | Ended::ConsumerGone
                | Ended::Gap
                | Ended::Refused
                | Ended::Paused) => {
                    if matches!(ended, Ended::OutOfReach(_) | Ended::ConsumerGone) {
                        let Consumer { connection, stream, .. } = &self.consumer;
                        let question = StreamInfo::subject(stream);
                        connection.note_missing_leader(&question, outage.since.elapsed());
                    }
                    self.report(&outage, ended);
                }
            }
            tokio::select! {
                () = sleep(outage.pause()) => {}
                () = self.worker.closed() => return,
            }
            self.join().await;
        }
    }

    async fn join(&mut self) {
        self.joined_at = Instant::now();
        match self.consumer.join().await {
            Ok(joined) => self.joined = joined,
            Err(error) => {
                let stream = &self.consumer.stream;
                tracing::debug!(stream, %error, "a consumer was not joined again");
            }
        }
    }

    /// Whether to look again if the consumer is paused. Not for a follower: nobody else knows its consumer, and joining again would
    /// make another one.
    fn is_look_due(&self) -> bool {
        !self.consumer.is_follower() && self.joined_at.elapsed() >= LOOK_INTERVAL
    }

    fn is_paused(&self) -> bool {
        self.joined.cached_info().paused
    }

    /// Tells the worker of an outage that lasts. A short one is no news: a consumer that was just created, or has a new leader,
    /// is not known to every server at once.
    fn report(&mut self, outage: &Outage, ended: Ended) {
        let stream = &self.consumer.stream;
        let is_paused = matches!(ended, Ended::Paused);
        if outage.is_short() || is_paused && self.pause_reported {
            tracing::debug!(stream, error = %ended, "a feed is interrupted");
            return;
        }
        tracing::warn!(stream, error = %ended, "a feed is interrupted");
        self.pause_reported = is_paused;
        self.interrupted.store(true, Ordering::Relaxed);
        // A worker that already has an error to look at needs no second one.
        let _ = self.worker.try_send(Err(StoreError::unavailable(ended)));
    }

    /// Pulls until the worker leaves or something is wrong.
    async fn pull(&mut self, outage: &mut Outage) -> Ended {
        if self.is_paused() {
            return Ended::Paused;
        }
        // What the worker was given moves the place from which a follower's next session begins.
        let consumer = self.consumer.clone();
        let mut session = match Session::open(&consumer).await {
            Ok(session) => session,
            Err(ended) => return ended,
        };
        let mut has_answered = false;
        let ended = loop {
            if let Err(ended) = self.step(&mut session).await {
                break ended;
            }
            if session.answered {
                has_answered = true;
                outage.end();
                self.pause_reported = false;
                self.interrupted.store(false, Ordering::Relaxed);
            }
        };
        // A request that meets the removal of its consumer is dropped without a word, so the removal is seen only after a silence.
        if has_answered && matches!(ended, Ended::ConsumerGone) {
            outage.end();
        }
        session.close().await;
        ended
    }

    async fn step(&mut self, session: &mut Session<'_>) -> Result<(), Ended> {
        if session.owed == 0 && session.queue.len() <= self.consumer.prefetch() / 2 {
            if session.idle && self.is_look_due() {
                self.join().await;
                if self.is_paused() {
                    return Err(Ended::Paused);
                }
            }
            session.request(&self.joined).await?;
        }
        tokio::select! {
            permit = self.worker.reserve(), if !session.queue.is_empty() => {
                let permit = permit.map_err(|_| Ended::Left)?;
                if let Some(received) = session.queue.pop_front() {
                    self.consumer.note_handed_over(received.sequence);
                    permit.send(Ok(received));
                }
                Ok(())
            }
            () = self.worker.closed() => Err(Ended::Left),
            message = session.subscriber.next() => {
                session.receive(message.ok_or(ApiError::Disconnected)?)
            }
            () = sleep_until(session.silent_at), if session.owed > 0 => session.on_silence(),
            // The connection was lost, or is back: the server no longer knows of the request.
            _ = session.link.changed() => {
                session.owed = 0;
                // What was under way to a follower is lost.
                if self.consumer.is_follower() { Err(Ended::Gap) } else { Ok(()) }
            }
        }
    }
}

/// How long nothing was heard from a consumer. That it is gone counts as the last word of one that answered before.
struct Outage {
    since: Instant,
    attempts: u32,
}

impl Default for Outage {
    fn default() -> Self {
        Self { since: Instant::now(), attempts: 0 }
    }
}

impl Outage {
    fn end(&mut self) {
        *self = Self::default();
    }

    fn is_short(&self) -> bool {
        self.since.elapsed() < SHORT_OUTAGE
    }

    /// How long to wait before the next attempt.
    fn pause(&mut self) -> Duration {
        let pause = MIN_PAUSE.saturating_mul(2_u32.saturating_pow(self.attempts));
        self.attempts += 1;
        pause.min(if self.since.elapsed() < ELECTION_LIMIT { ELECTION_PAUSE } else { MAX_PAUSE })
    }
}
