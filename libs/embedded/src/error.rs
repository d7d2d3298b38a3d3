//! How a data directory fails, by what an operator can do about it.

use std::{io, path::PathBuf, sync::Arc};

use eventstore::{AppendError, Sequence, StoreError};

/// The data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server uses the directory: stop it, or give this one a directory of its own.
    #[error("another server uses the data directory {}", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A file cannot be used: see to the disk and the permissions.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database cannot be used.
    #[error("cannot use the database in {}", dir.display())]
    Database {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer release wrote the directory: upgrade.
    #[error("a newer release wrote the database in {}: upgrade (its version is {version})", dir.display())]
    NewerRelease {
        /// The directory.
        dir: PathBuf,
        /// The version the database says it has.
        version: i64,
    },
    /// What was acknowledged is not all there, or not as it was.
    #[error(
        "the event log in {} is damaged: keep a copy of the directory, see the extent with \
         `certmill audit verify`, then restore the newest backup into an empty directory",
        dir.display()
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        #[source]
        source: Damage,
    },
}

impl OpenError {
    /// Whether the log could not be read at all, which does not mean that it is damaged.
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Database { source, .. } => !is_damage(source),
            Self::Locked { .. } | Self::NewerRelease { .. } | Self::Damaged { .. } => false,
        }
    }
}

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The log is shorter than it was.
    #[error("the log ends at message {last}, but its head file remembers message {head}")]
    EndsBeforeHead {
        /// Where the log ends.
        last: Sequence,
        /// Where it ended.
        head: Sequence,
    },
    /// The message the head file remembers is another one.
    #[error("message {0} is not the one the head file remembers")]
    NotTheHead(Sequence),
    /// The head file is gone.
    #[error("the head file is missing beside a database that has content")]
    HeadMissing,
    /// The head file cannot be read.
    #[error("the head file is unreadable")]
    HeadUnreadable,
    /// Messages are missing in the middle.
    #[error("message {expected} is missing before message {found}")]
    Gap {
        /// What should come next.
        expected: Sequence,
        /// What does.
        found: Sequence,
    },
    /// A message does not match its hash.
    #[error("message {0} breaks the hash chain")]
    ChainBroken(Sequence),
    /// A message cannot be read.
    #[error("message {sequence} is malformed")]
    Malformed {
        /// Which one.
        sequence: Sequence,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite's own check found something.
    #[error("the database is not consistent: {0}")]
    Inconsistent(String),
    /// The file is not a database of ours.
    #[error("the database is not one of an event log")]
    Foreign,
    /// An index differs from the log it is made from; `certmill rebuild` makes it anew.
    #[error(
        "the index of {index} differs from the log at message {sequence}: run `certmill rebuild`"
    )]
    Index {
        /// Which index.
        index: &'static str,
        /// The message it differs at.
        sequence: Sequence,
    },
    /// A row that is not part of the log does not match its checksum.
    #[error("{0} does not match its checksum")]
    Checksum(String),
    /// SQLite cannot read the database.
    #[error("the database is unreadable")]
    Unreadable(#[from] rusqlite::Error),
    /// A file cannot be read.
    #[error("a file is unreadable")]
    Io(#[source] io::Error),
}

impl Damage {
    /// Whether the log could not be read at all, which does not mean that it is damaged.
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Unreadable(source) => !is_damage(source),
            Self::EndsBeforeHead { .. }
            | Self::NotTheHead(_)
            | Self::HeadMissing
            | Self::HeadUnreadable
            | Self::Gap { .. }
            | Self::ChainBroken(_)
            | Self::Malformed { .. }
            | Self::Inconsistent(_)
            | Self::Foreign
            | Self::Index { .. }
            | Self::Checksum(_) => false,
        }
    }
}

/// Something other than an append was not written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing was stored: the disk is full or failing; try again later.
    #[error("the transaction was rolled back")]
    RolledBack(#[source] Arc<rusqlite::Error>),
    /// It may or may not be stored.
    #[error("the commit failed")]
    CommitFailed(#[source] Arc<rusqlite::Error>),
    /// The store was closed; nothing was stored.
    #[error("the store is closed")]
    Closed,
    /// The writing thread died; it may or may not be stored.
    #[error("the writing thread is gone")]
    WriterGone,
}

impl From<WriteError> for AppendError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::RolledBack(_) | WriteError::Closed => Self::unavailable(error),
            WriteError::CommitFailed(_) | WriteError::WriterGone => Self::unknown(error),
        }
    }
}

impl From<WriteError> for readmodel::Unavailable {
    fn from(error: WriteError) -> Self {
        Self::out_of_reach(error)
    }
}

/// A query failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("a stored row cannot be read")]
    Damage(#[from] Damage),
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Sqlite(source) if !is_damage(source) => Self::unavailable(error),
            ReadError::Sqlite(_) | ReadError::Damage(_) => Self::damaged(error),
        }
    }
}

impl From<ReadError> for Damage {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlite(source) => Self::Unreadable(source),
            ReadError::Damage(damage) => damage,
        }
    }
}

/// Whether a failure comes from what is stored, and not from the disk or another process.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    /// A read ended before the page did: the file was cut.
    const SHORT_READ: std::ffi::c_int = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;
    match error.sqlite_error() {
        Some(failure) => match failure.code {
            ErrorCode::SystemIoFailure => failure.extended_code == SHORT_READ,
            code => !matches!(
                code,
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::PermissionDenied
                    | ErrorCode::CannotOpen
                    | ErrorCode::FileLockingProtocolFailed
                    | ErrorCode::DiskFull
                    | ErrorCode::OutOfMemory
                    | ErrorCode::ReadOnly
                    | ErrorCode::OperationInterrupted
            ),
        },
        // The database answered, but not with what the schema promises.
        None => true,
    }
}
