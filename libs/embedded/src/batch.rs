//! What goes into one transaction, and what becomes of each part of it.

use std::collections::HashMap;

use domain::{CrlName, Timestamp};
use eventstore::{AppendError, Expected, Pair, Sequence, Stream, Subject};
use readmodel::Crl;
use rusqlite::{Connection, ErrorCode, params};
use tokio::sync::oneshot;

use crate::{
    WriteError,
    chain::{Link, Tip},
    crls,
    index::{self, Entry},
    positions::{Position, Positions},
    prepared::{Prepared, Second},
    prune, queries, rebuilding,
    schema::{bodies, column, stream_code},
};

/// What the writing thread is asked for.
pub(crate) enum Request {
    /// Stores a message.
    Append(Box<Append>),
    /// Stores a message and one that depends on its place.
    Pair(Box<AppendPair>),
    /// Changes something beside the log.
    Change(Change, oneshot::Sender<Result<Changed, WriteError>>),
    /// Writes what waits, closes the database and answers.
    Close(oneshot::Sender<()>),
}

/// A message to store, and who waits for it.
pub(crate) struct Append {
    pub(crate) message: Prepared,
    pub(crate) reply: oneshot::Sender<Result<Sequence, AppendError>>,
}

/// Two messages to store, and who waits for them.
pub(crate) struct AppendPair {
    pub(crate) first: Prepared,
    pub(crate) second: Second,
    pub(crate) reply: oneshot::Sender<Result<Pair, AppendError>>,
}

/// A write that is not an append.
#[derive(Debug)]
pub(crate) enum Change {
    /// Adds entries to the indexes, each with the message it is made from.
    Index(Vec<(Sequence, Entry)>),
    /// Publishes a CRL unless a newer one is there.
    Crl(CrlName, Crl),
    /// Forgets the certificates; a rebuild has begun.
    ClearCertificates,
    /// Has the indexes say what a part of the log does: orders that it does not place are forgotten.
    Reindex {
        /// The last message before it.
        after: Sequence,
        /// Its last message.
        end: Sequence,
        /// The entries, each with the message it is made from.
        entries: Vec<(Sequence, Entry)>,
    },
    /// The certificates are complete to a message of the ledger again.
    Rebuilt(Sequence),
    /// Drops the bodies of orders placed before a time, at most so many orders.
    Prune {
        /// The time.
        before: Timestamp,
        /// How many orders.
        limit: u32,
    },
    /// Nothing but the consumers' marks, which every transaction may carry.
    Marks,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// It is done.
    Done,
    /// How far the certificates are complete again.
    Rebuilt(rebuilding::Rebuilt),
    /// The subjects whose messages were dropped.
    Pruned(Vec<Subject>),
}

/// What a request will have become once the transaction is committed.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The message has a place.
    Stored(Sequence),
    /// Two messages have places, or the second one's subject had changed, or there is no second one.
    StoredPair(Sequence, Option<Sequence>),
    /// The subject had changed.
    Conflict,
    /// The change is made.
    Changed(Changed),
}

/// A transaction as it grows.
pub(crate) struct Stage<'a> {
    connection: &'a Connection,
    positions: &'a Positions,
    tip: Tip,
    ends: HashMap<Subject, Position>,
    pruned: bool,
}

/// What a committed transaction leaves behind in memory.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) tip: Tip,
    pub(crate) ends: HashMap<Subject, Position>,
    pub(crate) outcomes: Vec<Outcome>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(connection: &'a Connection, positions: &'a Positions, tip: Tip) -> Self {
        Self { connection, positions, tip, ends: HashMap::new(), pruned: false }
    }

    /// Applies every request.
    ///
    /// An error means that the database cannot take it and the whole transaction is rolled back; a conflict is not one.
    pub(crate) fn apply_all(mut self, requests: &mut [Request]) -> rusqlite::Result<Staged> {
        let outcomes =
            requests.iter_mut().map(|request| self.apply(request)).collect::<Result<_, _>>()?;
        Ok(Staged { tip: self.tip, ends: self.ends, outcomes })
    }

    fn apply(&mut self, request: &mut Request) -> rusqlite::Result<Outcome> {
        match request {
            Request::Append(append) => {
                Ok(self.append(&append.message)?.map_or(Outcome::Conflict, Outcome::Stored))
            }
            Request::Pair(pair) => self.append_pair(pair),
            Request::Change(change, _) => self.change(change).map(Outcome::Changed),
            // The writing thread takes these out before.
            Request::Close(_) => Ok(Outcome::Changed(Changed::Done)),
        }
    }

    fn append_pair(&mut self, pair: &mut AppendPair) -> rusqlite::Result<Outcome> {
        let Some(first) = self.append(&pair.first)? else { return Ok(Outcome::Conflict) };
        let second = match pair.second.make(first) {
            Some(second) => self.append(second)?,
            None => None,
        };
        Ok(Outcome::StoredPair(first, second))
    }

    /// Stores a message; nothing when its subject had changed.
    fn append(&mut self, message: &Prepared) -> rusqlite::Result<Option<Sequence>> {
        let subject = &message.subject;
        let assumed = match (self.known(subject), message.expected) {
            (Some(position), _) => position,
            // Most likely a new aggregate: if not, the unique index says so, and a query is saved.
            (None, Expected::Last(Sequence::NONE)) => Position::default(),
            (None, Expected::Last(_) | Expected::Anything) => self.look_up(subject)?,
        };
        match self.append_after(message, assumed) {
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == ErrorCode::ConstraintViolation =>
            {
                let position = self.look_up(subject)?;
                self.append_after(message, position)
            }
            outcome => outcome,
        }
    }

    fn append_after(
        &mut self,
        message: &Prepared,
        end: Position,
    ) -> rusqlite::Result<Option<Sequence>> {
        match message.expected {
            Expected::Last(last) if last != end.last => Ok(None),
            Expected::Last(_) | Expected::Anything => self.insert(message, end).map(Some),
        }
    }

    fn insert(&mut self, message: &Prepared, after: Position) -> rusqlite::Result<Sequence> {
        let version = after.version + 1;
        let subject = &message.subject;
        let tip = self.tip.extended(&Link { subject, version, body: message.digest });
        let aggregate = after.aggregate.unwrap_or(tip.sequence);
        if after.aggregate.is_none() {
            self.connection
                .prepare_cached("INSERT INTO subjects (subject, aggregate) VALUES (?, ?)")?
                .execute(params![subject.as_str(), column(aggregate)])?;
        }
        self.connection
            .prepare_cached(
                "INSERT INTO messages
                     (sequence, aggregate, stream, subject, version, digest, hash, pruned)
                 VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            )?
            .execute(params![
                column(tip.sequence),
                column(aggregate),
                stream_code(subject.stream()),
                subject.as_str(),
                version,
                message.digest,
                tip.hash,
            ])?;
        self.connection
            .prepare_cached(&format!(
                "INSERT INTO {} (sequence, envelope) VALUES (?, ?)",
                bodies(subject.stream())
            ))?
            .execute(params![column(tip.sequence), message.body])?;
        for entry in &message.entries {
            entry.store(self.connection, tip.sequence)?;
        }
        self.tip = tip;
        let end = Position { aggregate: Some(aggregate), last: tip.sequence, version };
        self.ends.insert(subject.clone(), end);
        Ok(tip.sequence)
    }

    fn known(&self, subject: &Subject) -> Option<Position> {
        let staged = self.ends.get(subject).copied();
        // What this transaction pruned ends elsewhere than memory says.
        if self.pruned { staged } else { staged.or_else(|| self.positions.get(subject)) }
    }

    fn look_up(&mut self, subject: &Subject) -> rusqlite::Result<Position> {
        let position = queries::position(self.connection, subject)?;
        self.ends.insert(subject.clone(), position);
        Ok(position)
    }

    fn change(&mut self, change: &Change) -> rusqlite::Result<Changed> {
        match change {
            Change::Index(entries) => self.index(entries)?,
            Change::Crl(name, crl) => crls::store(self.connection, name, crl)?,
            Change::ClearCertificates => {
                index::clear_certificates(self.connection)?;
                self.begin_rebuild()?;
            }
            Change::Reindex { after, end, entries } => {
                index::clear_orders(self.connection, *after, *end)?;
                self.index(entries)?;
            }
            Change::Rebuilt(sequence) => {
                return rebuilding::mark_rebuilt(self.connection, *sequence).map(Changed::Rebuilt);
            }
            Change::Prune { before, limit } => {
                self.pruned = true;
                self.ends.clear();
                return prune::prune(self.connection, *before, *limit).map(Changed::Pruned);
            }
            Change::Marks => {}
        }
        Ok(Changed::Done)
    }

    fn index(&self, entries: &[(Sequence, Entry)]) -> rusqlite::Result<()> {
        for (sequence, entry) in entries {
            // Its message may have been pruned since it was read.
            if !queries::is_pruned(self.connection, *sequence)? {
                entry.store(self.connection, *sequence)?;
            }
        }
        Ok(())
    }

    fn begin_rebuild(&self) -> rusqlite::Result<()> {
        let last = queries::last_of(self.connection, Stream::Ledger)?;
        rebuilding::mark_cleared(self.connection, last)
    }
}

impl Request {
    /// Tells whoever waits that nothing came of it.
    pub(crate) fn fail(self, error: &WriteError) {
        // Whoever does not wait any more needs no answer.
        match self {
            Self::Append(append) => {
                let _ = append.reply.send(Err(error.clone().into()));
            }
            Self::Pair(pair) => {
                let _ = pair.reply.send(Err(error.clone().into()));
            }
            Self::Change(_, reply) => {
                let _ = reply.send(Err(error.clone()));
            }
            Self::Close(reply) => {
                let _ = reply.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        AccountId, Failure, FailureKind, OrderId,
        order::{Event, IssuanceFailed, OrderPlaced},
    };
    use eventstore::{Actor, Context, Envelope, MessageId, NewMessage};

    use super::*;
    use crate::schema;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn append(expected: Expected, event: Event) -> Request {
        let context =
            Context { actor: Actor::Signer, request_id: None, traceparent: None, at: at(0) };
        let envelope = Envelope::new(MessageId::random(), &context, &[event]).unwrap();
        let subject = Subject::order(&OrderId::new(0, &[1; 16]));
        let message = Prepared::new(NewMessage { subject, expected, envelope }).unwrap();
        Request::Append(Box::new(Append { message, reply: oneshot::channel().0 }))
    }

    fn place() -> Request {
        append(
            Expected::Last(Sequence::NONE),
            Event::OrderPlaced(OrderPlaced {
                id: OrderId::new(0, &[1; 16]),
                profile: "default".parse().unwrap(),
                account: AccountId::from_hash(&[1; 32]),
                identifiers: vec![],
                not_before: None,
                not_after: None,
                at: at(0),
                expires_at: at(0),
                authorizations: vec![],
            }),
        )
    }

    fn prune() -> Request {
        let before = at(1);
        Request::Change(Change::Prune { before, limit: 9 }, oneshot::channel().0)
    }

    fn fail() -> Request {
        let failure = Failure::new(FailureKind::Dns, "late");
        let failed = Event::IssuanceFailed(IssuanceFailed { failure, at: at(0) });
        append(Expected::Last(Sequence(1)), failed)
    }

    /// What becomes of the last request, where each list is a transaction.
    fn outcome(transactions: Vec<Vec<Request>>) -> Outcome {
        let connection = Connection::open_in_memory().unwrap();
        schema::create(&connection).unwrap();
        let (positions, mut tip, mut last) = (Positions::new(9), Tip::default(), None);
        for mut requests in transactions {
            let stage = Stage::new(&connection, &positions, tip);
            let staged = stage.apply_all(&mut requests).unwrap();
            staged.ends.into_iter().for_each(|(subject, end)| positions.insert(subject, end));
            (tip, last) = (staged.tip, staged.outcomes.into_iter().next_back());
        }
        last.unwrap()
    }

    #[test]
    fn nothing_is_appended_to_an_order_that_goes_in_the_same_transaction() {
        assert!(matches!(outcome(vec![vec![place()], vec![fail()]]), Outcome::Stored(Sequence(2))));
        for transactions in
            [vec![vec![place()], vec![prune(), fail()]], vec![vec![place(), prune(), fail()]]]
        {
            assert!(matches!(outcome(transactions), Outcome::Conflict));
        }
    }
}
