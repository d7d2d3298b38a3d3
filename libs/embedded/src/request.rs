//! What the writing thread is asked for.

use domain::{CrlName, Timestamp};
use eventstore::{AppendError, Dependent, Pair, Sequence, Subject};
use readmodel::Crl;
use tokio::sync::oneshot;

use crate::{WriteError, index::Entry, prepared::Prepared, rebuilding};

/// A request, with whoever waits for it and what the transaction makes of it.
pub(crate) enum Request {
    /// Stores a message.
    Append(Box<Append>),
    /// Stores a message and one that depends on its place.
    Pair(Box<AppendPair>),
    /// Changes something beside the log.
    Change { change: Change, changed: Changed, reply: oneshot::Sender<Result<Changed, WriteError>> },
    /// Writes what waits, closes the database and answers.
    Close(oneshot::Sender<()>),
}

/// A message to store.
pub(crate) struct Append {
    pub(crate) message: Prepared,
    /// Where it is stored; `None` until then, and when its subject had changed.
    pub(crate) stored: Option<Sequence>,
    pub(crate) reply: oneshot::Sender<Result<Sequence, AppendError>>,
}

/// Two messages to store.
pub(crate) struct AppendPair {
    pub(crate) first: Prepared,
    /// Where the first is stored; `None` until then, and when its subject had changed.
    pub(crate) stored: Option<Sequence>,
    pub(crate) second: Second,
    pub(crate) reply: oneshot::Sender<Result<Pair, AppendError>>,
}

/// The message of a pair that names the place of the first, and so is made when that has its place.
pub(crate) enum Second {
    /// The first has no place yet.
    Waiting(Dependent),
    /// It is stored.
    Stored(Box<Prepared>, Sequence),
    /// It could not be made, or its subject had changed.
    Failed(AppendError),
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
    /// There is nothing to tell of it.
    Done,
    /// How far the certificates are complete again.
    Rebuilt(rebuilding::Rebuilt),
    /// The subjects whose messages were dropped.
    Pruned(Vec<Subject>),
}

impl Request {
    pub(crate) fn append(
        message: Prepared,
    ) -> (Self, oneshot::Receiver<Result<Sequence, AppendError>>) {
        let (reply, stored) = oneshot::channel();
        (Self::Append(Box::new(Append { message, stored: None, reply })), stored)
    }

    pub(crate) fn pair(
        first: Prepared,
        second: Dependent,
    ) -> (Self, oneshot::Receiver<Result<Pair, AppendError>>) {
        let (reply, stored) = oneshot::channel();
        let second = Second::Waiting(second);
        (Self::Pair(Box::new(AppendPair { first, stored: None, second, reply })), stored)
    }

    pub(crate) fn change(change: Change) -> (Self, oneshot::Receiver<Result<Changed, WriteError>>) {
        let (reply, changed) = oneshot::channel();
        (Self::Change { change, changed: Changed::Done, reply }, changed)
    }

    /// Whether a committed transaction holds something of it.
    pub(crate) fn is_written(&self) -> bool {
        match self {
            Self::Append(append) => append.stored.is_some(),
            Self::Pair(pair) => pair.stored.is_some(),
            Self::Change { .. } | Self::Close(_) => true,
        }
    }

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
            Self::Change { reply, .. } => {
                let _ = reply.send(Err(error.clone()));
            }
            Self::Close(reply) => {
                let _ = reply.send(());
            }
        }
    }
}
