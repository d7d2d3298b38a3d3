//! Reading by gets that the leader of a stream answers.

use async_nats::jetstream::{ErrorCode, message::StreamMessage, stream::RawMessage};
use eventstore::{Message, Sequence, StoreError, Stream, Subject};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use serde::{Deserialize, Serialize};

use crate::{
    connection::{ApiError, Connection},
    election::Election,
    leader::Leader,
    names::Names,
    stored::{Stored, decode},
};

/// How many messages of a subject are fetched one after the other before several places are read at once.
const SEQUENTIAL_GETS: usize = 4;
/// At how many places of a stream the messages of one subject are looked for at once.
const PARALLEL_CHAINS: u64 = 8;
/// How many gets of a scan are under way at once.
const PARALLEL_GETS: usize = 64;

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
        let mut confirmation = self.confirmation(subject.stream());
        loop {
            let messages = self.shown(subject, after).await?;
            if confirmation.is_given().await? {
                return Ok(messages);
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
        let mut confirmation = self.confirmation(stream);
        loop {
            let message = self.at(stream, sequence.0).await?;
            if message.is_some() || confirmation.is_given().await? {
                return Ok(message);
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
        let mut confirmation = self.confirmation(stream);
        loop {
            let page = self.page(stream, after, limit).await?;
            if confirmation.is_given().await? {
                return Ok(page);
            }
        }
    }

    /// At most `limit` messages of a stream after a sequence, according to leaders that may have been replaced.
    async fn page(
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

    fn confirmation(&self, stream: Stream) -> Confirmation<'_> {
        Confirmation { reader: self, stream, losses: self.connection.losses(), election: None }
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

/// Whether the leaders that were asked about a stream still led afterwards.
struct Confirmation<'a> {
    reader: &'a Reader<'a>,
    stream: Stream,
    /// How often the connection had been lost when the first question was asked.
    losses: u64,
    election: Option<Election>,
}

impl Confirmation<'_> {
    /// Whether what was said since the last call is believed; else the next leader is to be asked the same again, for which
    /// this waits a moment. A single replica always leads.
    async fn is_given(&mut self) -> Result<bool, StoreError> {
        let reader = self.reader;
        if reader.replicas == 1 {
            return Ok(true);
        }
        let leader = reader.leader(self.stream);
        match leader.is_believed(self.losses).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if reader.never_was(self.stream, &error) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let election = self.election.get_or_insert_with(Election::awaited);
        if !leader.awaits_next(election).await {
            return Err(ApiError::CutOff.into());
        }
        self.losses = reader.connection.losses();
        Ok(false)
    }
}
