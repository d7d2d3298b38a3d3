//! The adapter: one connection behind all ports.

use std::sync::Arc;

use async_trait::async_trait;
use eventstore::{
    AppendError, Call, CallError, Calls, Envelope, EventFeed, EventStore, EventTail, Expected,
    Message, Sequence, Service, StoreError, Stream, Subject, Subscription, Tail, Wake, Wakes,
};
use tokio::sync::{broadcast, mpsc};

use crate::{
    ConnectError, Identity, Options,
    append::Publication,
    calls, connect,
    connection::Connection,
    feed::{self, Consumer, Kind},
    names::Names,
    read::Reader,
    wakes::{self, Listener},
};

/// The event log on NATS JetStream. Clones share one connection, which comes back by itself when it is lost.
#[derive(Clone)]
pub struct JetStream {
    log: Arc<Log>,
}

struct Log {
    connection: Connection,
    names: Names,
    options: Options,
    listener: Listener,
}

impl JetStream {
    /// Connects, checks the servers, creates or verifies the streams, and tries compare-and-set out.
    ///
    /// Takes a bounded time; whether to try again is the caller's decision.
    ///
    /// # Errors
    /// When the log cannot be reached or is not safe to use; the message says what to change.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let names = connect::names(&options)?;
        connect::check_options(&options)?;
        let connection = Connection::open(&options).await?;
        // Before all requests, so that their answers show that the server knows of the subscription.
        let listener = Listener::start(&connection.client, names.wakes())
            .await
            .map_err(|error| ConnectError::Unavailable(error.into()))?;
        connect::prepare(&connection, &names, &options).await?;
        Ok(Self { log: Arc::new(Log { connection, names, options, listener }) })
    }

    /// What tells this log from all others, also from one that was made anew or restored in its place.
    ///
    /// # Errors
    /// When the log is out of reach.
    pub async fn identity(&self) -> Result<Identity, ConnectError> {
        let Log { connection, names, .. } = self.log.as_ref();
        connect::identity(connection, names).await
    }

    /// Sees whether each stream is still as it was made: an operator, or a controller, may have changed or removed one.
    ///
    /// # Errors
    /// [`ConnectError::StreamDiffers`] and [`ConnectError::StreamMissing`]: messages may be lost from now on; any other: nobody
    /// knows, because the log is out of reach.
    pub async fn verify(&self) -> Result<(), ConnectError> {
        let Log { connection, names, options, .. } = self.log.as_ref();
        connect::compare(connection, names, options).await
    }

    /// Waits until all acknowledgements and wakes have left this process; to be called before it ends.
    ///
    /// # Errors
    /// When the log is out of reach.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.log.connection.flush().await
    }

    fn reader(&self) -> Reader<'_> {
        let Log { connection, names, options, .. } = self.log.as_ref();
        let Options { order_shards, replicas, .. } = *options;
        Reader { connection, names, order_shards, replicas }
    }
}

#[async_trait]
impl EventStore for JetStream {
    async fn append(
        &self,
        subject: &Subject,
        expected: Expected,
        envelope: &Envelope,
    ) -> Result<Sequence, AppendError> {
        let names = &self.log.names;
        let (stream, subject) = (names.stream(subject.stream()), names.subject(subject));
        Publication::of(envelope, stream, subject, expected)?.store(&self.log.connection).await
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

#[async_trait]
impl EventFeed for JetStream {
    async fn subscribe(
        &self,
        consumer: &str,
        streams: &[Stream],
    ) -> Result<Box<dyn Subscription>, StoreError> {
        let consumers = streams.iter().map(|stream| Consumer {
            connection: self.log.connection.clone(),
            stream: self.log.names.stream(*stream),
            kind: Kind::Shared { name: consumer.to_owned(), ack_wait: self.log.options.ack_wait },
        });
        let feed = feed::open(self.log.names.clone(), consumers.collect()).await?;
        Ok(Box::new(feed))
    }
}

#[async_trait]
impl EventTail for JetStream {
    async fn follow(&self, from: &[(Stream, Sequence)]) -> Result<Box<dyn Tail>, StoreError> {
        let consumers = from.iter().map(|(stream, after)| Consumer {
            connection: self.log.connection.clone(),
            stream: self.log.names.stream(*stream),
            kind: Kind::Follower { after: *after },
        });
        Ok(Box::new(feed::open(self.log.names.clone(), consumers.collect()).await?))
    }
}

#[async_trait]
impl Wakes for JetStream {
    async fn publish(&self, wake: Wake) {
        wakes::publish(&self.log.connection, self.log.names.wakes(), &wake).await;
    }

    fn subscribe(&self) -> broadcast::Receiver<Wake> {
        self.log.listener.subscribe()
    }
}

#[async_trait]
impl Calls for JetStream {
    async fn call(&self, service: Service, question: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let Log { connection, names, .. } = self.log.as_ref();
        calls::call(connection, names.service(service), question).await
    }

    async fn serve(&self, service: Service) -> Result<mpsc::Receiver<Call>, CallError> {
        let Log { connection, names, .. } = self.log.as_ref();
        calls::serve(&connection.client, names.service(service)).await
    }
}
