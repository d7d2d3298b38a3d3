//! A durable consumer of one stream.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use eventstore::StoreError;

use crate::connection::Connection;

/// How many messages of a stream may be with workers of one consumer at once.
const MAX_ACK_PENDING: i64 = 4096;

/// Which consumer of which stream.
#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) connection: Connection,
    pub(crate) stream: String,
    pub(crate) name: String,
    pub(crate) ack_wait: Duration,
}

impl Consumer {
    /// Creates the consumer if it never was. It sees the whole stream: servers stall on filters, so workers skip what
    /// is not theirs.
    pub(super) async fn join(&self) -> Result<PullConsumer, StoreError> {
        self.connection.up().await?;
        let config = pull::Config {
            durable_name: Some(self.name.clone()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            // For ever; a worker that cannot do its work records that as an event.
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            ..pull::Config::default()
        };
        let join = self.connection.context().create_consumer_on_stream(config, &self.stream);
        self.connection.attended(join).await?.map_err(StoreError::unavailable)
    }
}
