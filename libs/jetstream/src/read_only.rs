//! Reading a log beside the servers that write it: nothing is created, changed or tried out.

use async_trait::async_trait;
use eventstore::{
    AppendError, Envelope, EventStore, Expected, Message, Sequence, StoreError, Stream, Subject,
};

use crate::{
    ConnectError, Identity, JetStream, Options, connect, connection::Connection, names::Names,
    read::Reader,
};

/// A log on NATS JetStream opened for reading: it asks for streams and their messages, and for nothing else.
pub struct ReadOnly {
    connection: Connection,
    names: Names,
    order_shards: u8,
    replicas: u8,
}

impl JetStream {
    /// Connects for reading commands. How the servers keep the log is not looked at, only that it is there.
    ///
    /// # Errors
    /// When the log cannot be reached, or a stream of it is not there; the message says what to change.
    pub async fn open_read_only(options: &Options) -> Result<ReadOnly, ConnectError> {
        let names = connect::names(options)?;
        let connection = Connection::open(options).await?;
        let order_shards = connect::find(&connection, &names, options.order_shards).await?;
        Ok(ReadOnly { connection, names, order_shards, replicas: options.replicas })
    }
}

impl ReadOnly {
    /// What tells this log from all others, as [`JetStream::identity`].
    ///
    /// # Errors
    /// When the log is out of reach.
    pub async fn identity(&self) -> Result<Identity, ConnectError> {
        connect::identity(&self.connection, &self.names).await
    }

    /// Over how many streams orders are spread, including those that a server with another configuration created.
    pub fn order_shards(&self) -> u8 {
        self.order_shards
    }

    fn reader(&self) -> Reader<'_> {
        let Self { connection, names, order_shards, replicas } = self;
        Reader { connection, names, order_shards: *order_shards, replicas: *replicas }
    }
}

#[async_trait]
impl EventStore for ReadOnly {
    /// Refuses: the log is open for reading.
    async fn append(
        &self,
        _: &Subject,
        _: Expected,
        _: &Envelope,
    ) -> Result<Sequence, AppendError> {
        Err(AppendError::unavailable("the log is open for reading only"))
    }

    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        self.reader().subject(subject, after).await
    }

    async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError> {
        self.reader().message(stream, sequence).await
    }

    async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.reader().scan(stream, after, limit).await
    }

    async fn last_sequence(&self, stream: Stream) -> Result<Sequence, StoreError> {
        self.reader().last_sequence(stream).await
    }
}
