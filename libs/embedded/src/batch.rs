//! One transaction: applies the requests that share it, and notes in each what comes of it.

use std::{collections::HashMap, mem};

use eventstore::{AppendError, Expected, Sequence, Stream, Subject};
use rusqlite::{Connection, ErrorCode, params};

use crate::{
    chain::{Link, Tip},
    crls,
    index::{self, Entry},
    positions::{Position, Positions},
    prepared::Prepared,
    prune, queries, rebuilding,
    request::{AppendPair, Change, Changed, Request, Second},
    schema::{bodies, column, stream_code},
};

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
}

impl<'a> Stage<'a> {
    pub(crate) fn new(connection: &'a Connection, positions: &'a Positions, tip: Tip) -> Self {
        Self { connection, positions, tip, ends: HashMap::new(), pruned: false }
    }

    /// Applies every request.
    ///
    /// An error means that the database cannot take it and the whole transaction is rolled back; a conflict is not one.
    pub(crate) fn apply_all(mut self, requests: &mut [Request]) -> rusqlite::Result<Staged> {
        for request in requests {
            match request {
                Request::Append(append) => append.stored = self.append(&append.message)?,
                Request::Pair(pair) => self.append_pair(pair)?,
                Request::Change { change, changed, .. } => *changed = self.change(change)?,
                // The writing thread takes these out before.
                Request::Close(_) => {}
            }
        }
        Ok(Staged { tip: self.tip, ends: self.ends })
    }

    fn append_pair(&mut self, pair: &mut AppendPair) -> rusqlite::Result<()> {
        let Some(first) = self.append(&pair.first)? else { return Ok(()) };
        pair.stored = Some(first);
        let unless_stored = Second::Failed(AppendError::Conflict);
        let Second::Waiting(make) = mem::replace(&mut pair.second, unless_stored) else {
            return Ok(());
        };
        match make(first).and_then(Prepared::new) {
            Ok(message) => {
                if let Some(sequence) = self.append(&message)? {
                    pair.second = Second::Stored(Box::new(message), sequence);
                }
            }
            Err(error) => pair.second = Second::Failed(error),
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use domain::{
        AccountId, Failure, FailureKind, OrderId, Timestamp,
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
        Request::append(message).0
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
        Request::change(Change::Prune { before: at(1), limit: 9 }).0
    }

    fn fail() -> Request {
        let failure = Failure::new(FailureKind::Dns, "late");
        let failed = Event::IssuanceFailed(IssuanceFailed { failure, at: at(0) });
        append(Expected::Last(Sequence(1)), failed)
    }

    /// Where the last request is stored, where each list is a transaction.
    fn stored(transactions: Vec<Vec<Request>>) -> Option<Sequence> {
        let connection = Connection::open_in_memory().unwrap();
        schema::create(&connection).unwrap();
        let (positions, mut tip, mut last) = (Positions::new(9), Tip::default(), None);
        for mut requests in transactions {
            let stage = Stage::new(&connection, &positions, tip);
            let staged = stage.apply_all(&mut requests).unwrap();
            staged.ends.into_iter().for_each(|(subject, end)| positions.insert(subject, end));
            (tip, last) = (staged.tip, requests.pop());
        }
        let Some(Request::Append(append)) = last else { panic!("the last is no append") };
        append.stored
    }

    #[test]
    fn nothing_is_appended_to_an_order_that_goes_in_the_same_transaction() {
        assert_eq!(stored(vec![vec![place()], vec![fail()]]), Some(Sequence(2)));
        for transactions in
            [vec![vec![place()], vec![prune(), fail()]], vec![vec![place(), prune(), fail()]]]
        {
            assert_eq!(stored(transactions), None);
        }
    }
}
