//! Reading a data directory beside the server that writes it, or after one that died.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use domain::{AccountId, OrderId, Serial, Timestamp};
use eventstore::{
    AppendError, Envelope, EventStore, Expected, Message, Sequence, StoreError, Stream, Subject,
    place_before,
};
use readmodel::CertificateEntry;
use rusqlite::Connection;

use crate::{
    Damage, Embedded, OpenError,
    chain::Tip,
    error::{ReadError, is_damage},
    head::{Head, Remembered},
    index, queries,
    readers::Readers,
    schema::{self, Kind},
};

/// A data directory opened for reading: it holds no lock and sees what is committed at each call.
#[derive(Clone, Debug)]
pub struct ReadOnly {
    dir: PathBuf,
    readers: Arc<Readers>,
}

impl Embedded {
    /// Opens a data directory for reading commands. Nothing is verified: a damaged log can be looked at.
    ///
    /// # Errors
    /// When there is no log in the directory, or none this release can read.
    pub fn open_read_only(dir: &Path) -> Result<ReadOnly, OpenError> {
        let path = schema::database(dir);
        let kind = match std::fs::metadata(&path) {
            Ok(_) if schema::is_emptied(&path) => return Err(emptied(dir.to_owned(), path)),
            Ok(_) => schema::open_reader(&path).map_err(ReadError::from),
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let dir = dir.to_owned();
        match kind.and_then(|connection| schema::kind(&connection)) {
            Ok(Kind::Ours) => Ok(ReadOnly { dir, readers: Arc::new(Readers::new(path)) }),
            Ok(Kind::Newer(version)) => Err(OpenError::NewerRelease { dir, version }),
            Ok(Kind::Empty) => Err(emptied(dir, path)),
            Err(ReadError::Sqlite(source)) if !is_damage(&source) => {
                Err(OpenError::Database { dir, source })
            }
            Err(error) => Err(OpenError::Damaged { dir, source: error.into() }),
        }
    }
}

/// Why a database without tables cannot be read: if its head remembers messages, it was emptied; otherwise no start was
/// ever completed.
fn emptied(dir: PathBuf, path: PathBuf) -> OpenError {
    match Head::read(&dir) {
        Ok(Remembered::Tip(tip)) if tip != Tip::default() => {
            let last = Tip::default().sequence;
            let source = Damage::EndsBeforeHead { last, head: tip.sequence };
            OpenError::Damaged { dir, source }
        }
        Ok(Remembered::Tip(_) | Remembered::Nothing | Remembered::Unreadable) => {
            OpenError::Io { path, source: io::ErrorKind::UnexpectedEof.into() }
        }
        Err(source) => OpenError::Io { path: dir, source },
    }
}

impl ReadOnly {
    /// Reads the messages of all streams after a place, in order, at most so many; empty at the end.
    ///
    /// # Errors
    /// When the database cannot answer or is damaged.
    pub async fn log(&self, after: Sequence, limit: usize) -> Result<Vec<Message>, StoreError> {
        self.query(move |c| queries::log(c, after, limit)).await
    }

    /// Finds a place in all streams as [`eventstore::last_before`] does in one.
    ///
    /// # Errors
    /// When the database cannot answer or is damaged.
    pub async fn last_before(&self, time: Timestamp) -> Result<Sequence, StoreError> {
        let end = self.query(|c| Ok(queries::tip(c)?.sequence)).await?;
        place_before(time, end, |after| async move { Ok(self.log(after, 1).await?.pop()) }).await
    }

    /// Finds a certificate by its serial.
    ///
    /// # Errors
    /// When the database cannot answer or is damaged.
    pub async fn certificate(
        &self,
        serial: &Serial,
    ) -> Result<Option<CertificateEntry>, StoreError> {
        let serial = serial.clone();
        self.query(move |c| index::certificate(c, &serial)).await
    }

    /// The orders of an account that were not pruned, oldest first.
    ///
    /// # Errors
    /// When the database cannot answer or is damaged.
    pub async fn orders(&self, account: &AccountId) -> Result<Vec<OrderId>, StoreError> {
        let account = account.clone();
        self.query(move |c| index::orders_of(c, &account)).await
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.query(query).await
    }
}

#[async_trait]
impl EventStore for ReadOnly {
    /// Refuses: the directory is open for reading.
    async fn append(
        &self,
        _: &Subject,
        _: Expected,
        _: &Envelope,
    ) -> Result<Sequence, AppendError> {
        Err(AppendError::unavailable("the data directory is open for reading only"))
    }

    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        let subject = subject.clone();
        self.query(move |c| queries::subject_after(c, &subject, after)).await
    }

    async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError> {
        self.query(move |c| queries::at(c, stream, sequence)).await
    }

    async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.query(move |c| queries::stream_after(c, stream, after, limit)).await
    }

    async fn last_sequence(&self, stream: Stream) -> Result<Sequence, StoreError> {
        self.query(move |c| Ok(queries::last_of(c, stream)?)).await
    }
}
