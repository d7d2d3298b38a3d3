//! Reading by gets that the leader of a stream answers.

use async_nats::{
    HeaderMap,
    header::NATS_MESSAGE_ID,
    jetstream::{ErrorCode, message::StreamMessage, stream::RawMessage},
};
use eventstore::{Envelope, Message, Sequence, StoreError, Stream, Subject};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use serde::{Deserialize, Serialize};

use crate::{
    connection::{ApiError, Connection},
    election::Election,
    leader::Leader,
    names::Names,
};

/// How many messages of a subject are fetched one after the other before several places are read at once.
const SEQUENTIAL_GETS: usize = 4;
/// At how many places of a stream the messages of one subject are looked for at once.
const PARALLEL_CHAINS: u64 = 8;
/// How many gets of a scan are under way at once.
const PARALLEL_GETS: usize = 64;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What stands at a place of the log is no message. Whoever finds it has to tell an operator where it is.
#[derive(Debug, thiserror::Error)]
#[error("message {sequence} on {subject} cannot be read")]
struct Unreadable {
    sequence: u64,
    subject: String,
    source: Source,
}

/// Reads one log's messages.
///
/// What is found is true for ever. That there is nothing, or nothing more, is believed only of a leader that still
/// leads.
pub(crate) struct Reader<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) names: &'a Names,
    pub(crate) order_shards: u8,
    /// How many servers keep each stream.
    pub(crate) replicas: u8,
}

/// Which message of a stream is wanted.
#[derive(Serialize)]
#[serde(untagged)]
enum Get<'a> {
    At { seq: u64 },
    Next { seq: u64, next_by_subj: &'a str },
    Last { last_by_subj: &'a str },
}

#[derive(Deserialize)]
struct Got {
    message: RawMessage,
}

impl Reader<'_> {
    /// The messages of one subject after a sequence.
    pub(crate) async fn subject(
        &self,
        subject: &Subject,
        after: Sequence,
    ) -> Result<Vec<Message>, StoreError> {
        let mut election = None;
        loop {
            let losses = self.connection.losses();
            let messages = self.shown(subject, after).await?;
            if self.is_believed(subject.stream(), losses).await? {
                return Ok(messages);
            }
            if !election.get_or_insert_with(Election::awaited).goes_on().await {
                return Err(ApiError::CutOff.into());
            }
        }
    }

    /// The messages of one subject after a sequence, according to a leader that may have been replaced.
    async fn shown(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        let (stream, name) = (subject.stream(), self.names.subject(subject));
        let next = Get::Next { seq: after.0 + 1, next_by_subj: &name };
        let last = Get::Last { last_by_subj: &name };
        // Mostly there is nothing new to whoever knows the subject up to here, or nothing at all.
        let Some(next) = self.get(stream, &next).await? else { return Ok(Vec::new()) };
        let last = self.get(stream, &last).await?;
        let last = match last {
            Some(last) if last.sequence > next.sequence => last,
            Some(_) | None => return Ok(vec![next]),
        };
        let mut messages = vec![next];
        self.extend(stream, &name, last.sequence, &mut messages).await?;
        messages.push(last);
        Ok(messages)
    }

    /// Adds the messages of a subject between the last one known and `until`.
    async fn extend(
        &self,
        stream: Stream,
        name: &str,
        until: Sequence,
        messages: &mut Vec<Message>,
    ) -> Result<(), StoreError> {
        let mut from = messages.last().map_or(1, |message| message.sequence.0 + 1);
        let steps = Chain { stream, name, from, until: until.0, limit: SEQUENTIAL_GETS };
        let first = self.chain(steps).await?;
        let complete = first.len() < SEQUENTIAL_GETS;
        messages.extend(first);
        if complete {
            return Ok(());
        }
        // A long history: each get finds the next message only, so many gets start at places spread over the rest.
        from = messages.last().map_or(from, |message| message.sequence.0 + 1);
        let width = (until.0 - from).div_ceil(PARALLEL_CHAINS).max(1);
        let chains = (0..PARALLEL_CHAINS).map(|i| {
            let start = (from + i * width).min(until.0);
            let end = (start + width).min(until.0);
            self.chain(Chain { stream, name, from: start, until: end, limit: usize::MAX })
        });
        messages.extend(try_join_all(chains).await?.into_iter().flatten());
        Ok(())
    }

    async fn chain(&self, chain: Chain<'_>) -> Result<Vec<Message>, StoreError> {
        let mut messages = Vec::new();
        let mut from = chain.from;
        while from < chain.until && messages.len() < chain.limit {
            let next = Get::Next { seq: from, next_by_subj: chain.name };
            match self.get(chain.stream, &next).await? {
                Some(message) if message.sequence.0 < chain.until => {
                    from = message.sequence.0 + 1;
                    messages.push(message);
                }
                Some(_) | None => break,
            }
        }
        Ok(messages)
    }

    /// The message at one place of a stream.
    pub(crate) async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError> {
        if sequence == Sequence::NONE {
            return Ok(None);
        }
        let mut election = None;
        loop {
            let losses = self.connection.losses();
            let message = self.at(stream, sequence.0).await?;
            if message.is_some() || self.is_believed(stream, losses).await? {
                return Ok(message);
            }
            if !election.get_or_insert_with(Election::awaited).goes_on().await {
                return Err(ApiError::CutOff.into());
            }
        }
    }

    /// At most `limit` messages of a stream after a sequence.
    pub(crate) async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let last = self.last_sequence(stream).await?;
        let all = self.names.all_of(stream);
        let (mut page, mut after) = (Vec::new(), after);
        while page.len() < limit && after < last {
            // Finds the next message beyond whatever has expired.
            let next = Get::Next { seq: after.0 + 1, next_by_subj: &all };
            let Some(next) = self.fetch(stream, &next).await? else { break };
            let from = next.sequence + 1;
            page.extend(decode(self.names, Stored::from(&next))?);
            let room = u64::try_from(limit - page.len()).unwrap_or(u64::MAX);
            let until = from.saturating_add(room).min(last.0 + 1).max(from);
            let gets = (from..until).map(|seq| self.at(stream, seq));
            let gets = stream::iter(gets);
            let found: Vec<Option<Message>> = gets.buffered(PARALLEL_GETS).try_collect().await?;
            page.extend(found.into_iter().flatten());
            after = Sequence(until - 1);
        }
        Ok(page)
    }

    /// Whether a leader that found nothing, or nothing more, is believed; else the next one is to be asked. A single replica
    /// always leads.
    async fn is_believed(&self, stream: Stream, losses: u64) -> Result<bool, StoreError> {
        if self.replicas == 1 {
            return Ok(true);
        }
        match self.leader(stream).is_believed(losses).await {
            Err(error) if self.never_was(stream, &error) => Ok(true),
            believed => Ok(believed?),
        }
    }

    /// The last sequence of a stream.
    pub(crate) async fn last_sequence(&self, stream: Stream) -> Result<Sequence, StoreError> {
        match self.leader(stream).last_sequence().await {
            Ok(last) => Ok(Sequence(last)),
            Err(error) if self.never_was(stream, &error) => Ok(Sequence::NONE),
            Err(error) => Err(error.into()),
        }
    }

    fn leader(&self, stream: Stream) -> Leader<'_> {
        Leader { connection: self.connection, stream: self.names.stream(stream) }
    }

    /// Whether a stream of orders never existed. Anyone can make up the id of an order in such a shard, which is empty
    /// and not out of reach. The servers are asked because other nodes may be configured for more shards already.
    fn never_was(&self, stream: Stream, error: &ApiError) -> bool {
        match stream {
            Stream::Orders(shard) => shard >= self.order_shards && error.is_stream_not_found(),
            Stream::Accounts | Stream::Administration | Stream::Ledger | Stream::Revocations => {
                false
            }
        }
    }

    async fn at(&self, stream: Stream, seq: u64) -> Result<Option<Message>, StoreError> {
        self.get(stream, &Get::At { seq }).await
    }

    async fn get(&self, stream: Stream, get: &Get<'_>) -> Result<Option<Message>, StoreError> {
        match self.fetch(stream, get).await? {
            Some(message) => decode(self.names, Stored::from(&message)),
            None => Ok(None),
        }
    }

    async fn fetch(
        &self,
        stream: Stream,
        get: &Get<'_>,
    ) -> Result<Option<StreamMessage>, StoreError> {
        let subject = format!("STREAM.MSG.GET.{}", self.names.stream(stream));
        match self.connection.look_up(&subject, get).await {
            Ok(Got { message }) => {
                StreamMessage::try_from(message).map(Some).map_err(StoreError::damaged)
            }
            Err(ApiError::Refused(error)) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
                Ok(None)
            }
            Err(error) if self.never_was(stream, &error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A part of a stream in which the messages of one subject are fetched one after the other.
struct Chain<'a> {
    stream: Stream,
    name: &'a str,
    from: u64,
    /// The first sequence beyond the part.
    until: u64,
    limit: usize,
}

/// What a stream holds at one place.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) subject: &'a str,
    pub(crate) sequence: u64,
    pub(crate) headers: Option<&'a HeaderMap>,
    pub(crate) payload: &'a [u8],
}

impl<'a> From<&'a StreamMessage> for Stored<'a> {
    fn from(message: &'a StreamMessage) -> Self {
        Self {
            subject: &message.subject,
            sequence: message.sequence,
            headers: Some(&message.headers),
            payload: &message.payload,
        }
    }
}

/// Puts a message together from what is stored; `None` for a message that somebody else published there by mistake,
/// which lacks the id that each of ours has. It cannot be deleted, and must not stop the messages after it.
pub(crate) fn decode(names: &Names, stored: Stored<'_>) -> Result<Option<Message>, StoreError> {
    match decode_own(names, &stored) {
        Ok(message) => Ok(Some(message)),
        Err(error) if stored.headers.and_then(|all| all.get(NATS_MESSAGE_ID)).is_none() => {
            let Stored { subject, sequence, .. } = stored;
            tracing::warn!(subject, sequence, %error, "a message that is not ours is passed over");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn decode_own(names: &Names, stored: &Stored<'_>) -> Result<Message, StoreError> {
    let unreadable = |source: Source| Unreadable {
        sequence: stored.sequence,
        subject: stored.subject.to_owned(),
        source,
    };
    let envelope = serde_json::from_slice::<Envelope>(stored.payload);
    let envelope = envelope.map_err(|error| StoreError::damaged(unreadable(error.into())))?;
    let subject = names.parse(stored.subject);
    let subject = subject.map_err(|error| StoreError::damaged(unreadable(error.into())))?;
    Ok(Message { subject, sequence: Sequence(stored.sequence), envelope })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_by_its_place() {
        let names = Names::new("certmill").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, "one-of-ours");
        let (subject, sequence) = ("certmill.order.03.nobody", 7);
        for payload in ["torn".as_bytes(), b"{}"] {
            let stored = Stored { subject, sequence, headers: Some(&headers), payload };
            let damage = decode(&names, stored).unwrap_err();
            let place = damage.source().unwrap();
            let told = "message 7 on certmill.order.03.nobody cannot be read";
            assert_eq!(place.to_string(), told);
            assert!(place.source().is_some());
        }
    }
}
