//! What goes into one transaction, and what becomes of each part of it.

use std::collections::HashMap;

use domain::{IssuerId, Timestamp};
use eventstore::{AppendError, Envelope, Expected, Sequence, Stream, Subject};
use readmodel::Crl;
use rusqlite::{Connection, ErrorCode, params};
use tokio::sync::oneshot;

use crate::{
    WriteError,
    chain::{Hash, Link, Tip},
    index::{self, Entry},
    positions::{Position, Positions},
    prune, queries,
    schema::{bodies, column, stream_code},
    views,
};

/// What the writing thread is asked for.
pub(crate) enum Request {
    /// Stores a message.
    Append(Box<Append>),
    /// Changes something beside the log.
    Change(Change, oneshot::Sender<Result<Changed, WriteError>>),
    /// Writes what waits, closes the database and answers.
    Close(oneshot::Sender<()>),
}

/// A message to store; the caller has prepared everything that needs no transaction.
pub(crate) struct Append {
    pub(crate) subject: Subject,
    pub(crate) expected: Expected,
    pub(crate) envelope: Envelope,
    /// The envelope as stored.
    pub(crate) body: Vec<u8>,
    pub(crate) digest: Hash,
    pub(crate) entries: Vec<Entry>,
    pub(crate) reply: oneshot::Sender<Result<Sequence, AppendError>>,
}

/// A write that is not an append.
#[derive(Debug)]
pub(crate) enum Change {
    /// Adds entries to the indexes, each with the message it is made from.
    Index(Vec<(Sequence, Entry)>),
    /// Publishes a CRL unless a newer one is there.
    Crl(IssuerId, Crl),
    /// Forgets the certificates; a rebuild has begun.
    ClearCertificates,
    /// Forgets certificates and orders; a rebuild has begun.
    ClearIndexes,
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
    /// Whether the certificates are complete again.
    Rebuilt(bool),
    /// The subjects whose messages were dropped.
    Pruned(Vec<Subject>),
}

/// What a request will have become once the transaction is committed.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The message has a place.
    Stored(Sequence),
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
    ends: HashMap<&'a Subject, Position>,
    pruned: bool,
}

/// What a committed transaction leaves behind in memory.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) tip: Tip,
    pub(crate) ends: Vec<(Subject, Position)>,
    pub(crate) outcomes: Vec<Outcome>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(connection: &'a Connection, positions: &'a Positions, tip: Tip) -> Self {
        Self { connection, positions, tip, ends: HashMap::new(), pruned: false }
    }

    /// Applies every request.
    ///
    /// An error means that the database cannot take it and the whole transaction is rolled back; a conflict is not one.
    pub(crate) fn apply_all(mut self, requests: &'a [Request]) -> rusqlite::Result<Staged> {
        let outcomes =
            requests.iter().map(|request| self.apply(request)).collect::<Result<_, _>>()?;
        let ends = self.ends.into_iter().map(|(subject, end)| (subject.clone(), end)).collect();
        Ok(Staged { tip: self.tip, ends, outcomes })
    }

    fn apply(&mut self, request: &'a Request) -> rusqlite::Result<Outcome> {
        match request {
            Request::Append(append) => self.append(append),
            Request::Change(change, _) => self.change(change).map(Outcome::Changed),
            // The writing thread takes these out before.
            Request::Close(_) => Ok(Outcome::Changed(Changed::Done)),
        }
    }

    fn append(&mut self, append: &'a Append) -> rusqlite::Result<Outcome> {
        let subject = &append.subject;
        let assumed = match (self.known(subject), append.expected) {
            (Some(position), _) => position,
            // Most likely a new aggregate: if not, the unique index says so, and a query is saved.
            (None, Expected::Last(Sequence::NONE)) => Position::default(),
            (None, Expected::Last(_) | Expected::Anything) => self.look_up(subject)?,
        };
        match self.append_after(append, assumed) {
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == ErrorCode::ConstraintViolation =>
            {
                let position = self.look_up(subject)?;
                self.append_after(append, position)
            }
            outcome => outcome,
        }
    }

    fn append_after(&mut self, append: &'a Append, end: Position) -> rusqlite::Result<Outcome> {
        match append.expected {
            Expected::Last(last) if last != end.last => Ok(Outcome::Conflict),
            Expected::Last(_) | Expected::Anything => self.insert(append, end),
        }
    }

    fn insert(&mut self, append: &'a Append, after: Position) -> rusqlite::Result<Outcome> {
        let version = after.version + 1;
        let subject = &append.subject;
        let tip = self.tip.extended(&Link { subject, version, body: append.digest });
        self.connection
            .prepare_cached(
                "INSERT INTO messages (sequence, stream, subject, version, digest, hash, pruned)
                 VALUES (?, ?, ?, ?, ?, ?, 0)",
            )?
            .execute(params![
                column(tip.sequence),
                stream_code(subject.stream()),
                subject.as_str(),
                version,
                append.digest,
                tip.hash,
            ])?;
        self.connection
            .prepare_cached(&format!(
                "INSERT INTO {} (sequence, envelope) VALUES (?, ?)",
                bodies(subject.stream())
            ))?
            .execute(params![column(tip.sequence), append.body])?;
        for entry in &append.entries {
            entry.store(self.connection, tip.sequence)?;
        }
        self.tip = tip;
        self.ends.insert(subject, Position { last: tip.sequence, version });
        Ok(Outcome::Stored(tip.sequence))
    }

    fn known(&self, subject: &Subject) -> Option<Position> {
        let staged = self.ends.get(subject).copied();
        // What this transaction pruned ends elsewhere than memory says.
        if self.pruned { staged } else { staged.or_else(|| self.positions.get(subject)) }
    }

    fn look_up(&mut self, subject: &'a Subject) -> rusqlite::Result<Position> {
        let position = queries::position(self.connection, subject)?;
        self.ends.insert(subject, position);
        Ok(position)
    }

    fn change(&mut self, change: &Change) -> rusqlite::Result<Changed> {
        match change {
            Change::Index(entries) => {
                for (sequence, entry) in entries {
                    entry.store(self.connection, *sequence)?;
                }
            }
            Change::Crl(issuer, crl) => views::store_crl(self.connection, issuer, crl)?,
            Change::ClearCertificates => {
                index::clear_certificates(self.connection)?;
                self.begin_rebuild()?;
            }
            Change::ClearIndexes => {
                index::clear_all(self.connection)?;
                self.begin_rebuild()?;
            }
            Change::Rebuilt(sequence) => {
                let complete = views::mark_rebuilt(self.connection, *sequence)?;
                return Ok(Changed::Rebuilt(complete));
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

    fn begin_rebuild(&self) -> rusqlite::Result<()> {
        let last = queries::last_of(self.connection, Stream::Ledger)?;
        views::mark_cleared(self.connection, last)
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
            Self::Change(_, reply) => {
                let _ = reply.send(Err(error.clone()));
            }
            Self::Close(reply) => {
                let _ = reply.send(());
            }
        }
    }
}
