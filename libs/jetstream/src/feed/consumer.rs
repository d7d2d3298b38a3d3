//! A consumer of one stream: a durable one that workers share, or one of its own for whoever follows.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use eventstore::{Sequence, StoreError};

use crate::connection::Connection;

/// How many messages of a stream may be with workers of one consumer at once.
const MAX_ACK_PENDING: i64 = 4096;
/// How many messages are held for a worker that is busy: few, since another worker might be idle.
const PREFETCH_SHARED: usize = 16;
/// How many messages are held for a follower, who leaves none to others.
const PREFETCH_FOLLOWER: usize = 256;
/// When servers forget a follower that does not ask any more.
const FORGET_FOLLOWER: Duration = Duration::from_secs(60);

/// Which consumer of which stream.
#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) connection: Connection,
    pub(crate) stream: String,
    pub(crate) kind: Kind,
}

/// Who consumes.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Workers that share the messages and acknowledge them.
    Shared {
        /// The durable name.
        name: String,
        /// After this time without a word a message is delivered again.
        ack_wait: Duration,
    },
    /// One reader that sees all, keeps its place itself and acknowledges nothing.
    Follower {
        /// The last message that it has seen.
        after: Sequence,
    },
}

impl Consumer {
    /// Creates the consumer if it never was. It sees the whole stream: servers stall on filters, so workers skip what
    /// is not theirs.
    pub(super) async fn join(&self) -> Result<PullConsumer, StoreError> {
        self.connection.wait_until_up().await?;
        let join = self.connection.context().create_consumer_on_stream(self.config(), &self.stream);
        self.connection.answered(join).await?.map_err(StoreError::unavailable)
    }

    fn config(&self) -> pull::Config {
        match &self.kind {
            Kind::Shared { name, ack_wait } => pull::Config {
                durable_name: Some(name.clone()),
                deliver_policy: DeliverPolicy::All,
                ack_policy: AckPolicy::Explicit,
                ack_wait: *ack_wait,
                // For ever; a worker that cannot do its work records that as an event.
                max_deliver: -1,
                max_ack_pending: MAX_ACK_PENDING,
                ..pull::Config::default()
            },
            Kind::Follower { after } => pull::Config {
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.0 + 1 },
                ack_policy: AckPolicy::None,
                inactive_threshold: FORGET_FOLLOWER,
                // A consumer that is lost is made anew from the follower's place.
                memory_storage: true,
                num_replicas: 1,
                ..pull::Config::default()
            },
        }
    }

    /// How many messages are held for whoever consumes.
    pub(super) fn prefetch(&self) -> usize {
        match self.kind {
            Kind::Shared { .. } => PREFETCH_SHARED,
            Kind::Follower { .. } => PREFETCH_FOLLOWER,
        }
    }

    /// Notes that a message was handed over, after which a follower goes on.
    pub(super) fn note_handed_over(&mut self, sequence: u64) {
        if let Kind::Follower { after } = &mut self.kind {
            *after = Sequence(sequence);
        }
    }

    /// Whether it is a follower: what is lost on the way to one is not delivered again.
    pub(super) fn is_follower(&self) -> bool {
        matches!(self.kind, Kind::Follower { .. })
    }
}
