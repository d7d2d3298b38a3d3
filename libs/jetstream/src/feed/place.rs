//! How far workers are in a stream whose consumer servers keep in memory, and how that outlives them.
//!
//! Servers replicate each delivery and each acknowledgement of a consumer on disk, and sync it with `sync_interval: always`
//! before they go on: two fifths of their work for an issuance. In memory the place survives any one server. With all of
//! them at once is lost which messages were done, so that they come again and workers find that nothing is left to do.
//! Because that takes long where there are many, the place is also noted in the consumer's configuration, which is on
//! disk, and the consumer goes on from there.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    consumer::{PullConsumer, pull},
    stream::ConsumerErrorKind,
};
use eventstore::StoreError;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;
use tokio::time::Instant;

use super::{Consumer, Kind};
use crate::{connection::ApiError, leader::Leader};

/// The entry in the consumer's metadata: up to which sequence everything is done.
const NOTE: &str = "certmill-place";
/// After how many messages of a stream the place is noted again.
const STEP: u64 = 1000;
/// How long it is not noted again, however many there are: each note is work for all servers.
const PAUSE: Duration = Duration::from_secs(10);

/// What a server says of a consumer.
#[derive(Deserialize)]
struct Info {
    config: Config,
    ack_floor: AckFloor,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
struct AckFloor {
    stream_seq: u64,
}

impl Info {
    /// The place on disk.
    fn noted(&self) -> u64 {
        self.config.metadata.get(NOTE).and_then(|place| place.parse().ok()).unwrap_or(0)
    }

    /// The place in memory.
    fn done(&self) -> u64 {
        self.ack_floor.stream_seq
    }
}

impl Consumer {
    /// Joins a consumer in memory, and moves it on if it has lost its place.
    pub(super) async fn join_in_memory(&self, name: &str) -> Result<PullConsumer, StoreError> {
        let info = self.info(name).await?;
        let (done, mut noted) = info.map_or((0, 0), |info| (info.done(), info.noted()));
        if noted > done && noted > self.last_sequence().await? {
            // The log is not the one in which it was noted: what comes at this place is still to be done.
            noted = 0;
        }
        let joined = match self.create(self.config_noting(noted)).await? {
            Err(error) if is_on_disk(&error.kind()) => {
                tracing::info!(
                    consumer = name,
                    stream = self.stream,
                    "an earlier release made this consumer on disk, where it is more work for the servers: \
                     docs/operations.md says how to make it anew"
                );
                let on_disk = pull::Config { memory_storage: false, ..self.config() };
                return self.create(on_disk).await?.map_err(StoreError::unavailable);
            }
            joined => joined.map_err(StoreError::unavailable)?,
        };
        if noted > done {
            self.go_on_after(noted, name).await;
        }
        Ok(joined)
    }

    /// Notes the place on disk if it is far from the one that is noted.
    async fn note_place(&self, name: &str) -> Result<(), StoreError> {
        let Some(info) = self.info(name).await? else { return Ok(()) };
        // Another worker may just have noted it.
        if info.done() < info.noted() + STEP / 2 {
            return Ok(());
        }
        let noting = self.create(self.config_noting(info.done())).await?;
        noting.map(drop).map_err(StoreError::unavailable)
    }

    fn config_noting(&self, place: u64) -> pull::Config {
        let noted = (place > 0).then(|| (NOTE.to_owned(), place.to_string()));
        pull::Config { metadata: noted.into_iter().collect(), ..self.config() }
    }

    /// Asks for the consumer; `None` if there is none, or if the user may not ask, as before an upgrade of the rights.
    async fn info(&self, name: &str) -> Result<Option<Info>, StoreError> {
        let subject = format!("CONSUMER.INFO.{}.{name}", self.stream);
        match self.connection.api(&subject, &json!({})).await {
            Ok(info) => Ok(Some(info)),
            Err(ApiError::Refused(error))
                if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND =>
            {
                Ok(None)
            }
            Err(error @ ApiError::Forbidden { .. }) => {
                tracing::warn!(%error, "after a loss of all NATS servers, old orders are looked at again");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn last_sequence(&self) -> Result<u64, StoreError> {
        let leader = Leader { connection: &self.connection, stream: self.stream.clone() };
        Ok(leader.last_sequence().await?)
    }

    async fn go_on_after(&self, place: u64, name: &str) {
        let subject = format!("CONSUMER.RESET.{}.{name}", self.stream);
        let next = json!({ "seq": place + 1 });
        let stream = &self.stream;
        match self.connection.api::<IgnoredAny>(&subject, &next).await {
            Ok(_) => {
                tracing::warn!(
                    consumer = name,
                    stream,
                    place,
                    "the servers lost a consumer's place; it goes on from the noted one"
                );
            }
            Err(error) => {
                tracing::warn!(consumer = name, stream, %error, "the servers lost a consumer's place; it begins anew");
            }
        }
    }
}

/// Whether the consumer was made on disk, which nobody can change.
fn is_on_disk(refusal: &ConsumerErrorKind) -> bool {
    matches!(refusal, ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_CREATE)
}

/// When the place is noted.
#[derive(Default)]
pub(super) struct Notes {
    /// The message at which it was noted last, or the first that was seen.
    at: Option<u64>,
    noted: Option<Instant>,
}

impl Notes {
    /// Has the place noted if that is due, now that a message was handed to a worker.
    pub(super) fn handed_over(&mut self, consumer: &Consumer, sequence: u64) {
        let Kind::Shared { name, in_memory: true, .. } = &consumer.kind else { return };
        if !self.is_due(sequence) {
            return;
        }
        let (consumer, name) = (consumer.clone(), name.clone());
        tokio::spawn(async move {
            if let Err(error) = consumer.note_place(&name).await {
                let stream = &consumer.stream;
                tracing::debug!(stream, %error, "the place of a consumer was not noted");
            }
        });
    }

    fn is_due(&mut self, sequence: u64) -> bool {
        let at = *self.at.get_or_insert(sequence);
        let is_due = sequence >= at + STEP && self.noted.is_none_or(|last| last.elapsed() >= PAUSE);
        if is_due {
            (self.at, self.noted) = (Some(sequence), Some(Instant::now()));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_place_is_noted_after_many_messages_and_not_too_often() {
        let mut notes = Notes::default();
        assert!(!notes.is_due(5));
        assert!(!notes.is_due(4 + STEP));
        assert!(notes.is_due(5 + STEP));
        assert!(!notes.is_due(5 + 9 * STEP));
        advance(PAUSE).await;
        assert!(!notes.is_due(4 + 2 * STEP));
        assert!(notes.is_due(5 + 2 * STEP));
    }
}
