//! The log as reading commands see it: beside a running server, and never changed.

mod merge;

use std::time::Duration;

use domain::{Serial, Timestamp, certificate::LedgerEvent};
use embedded::ReadOnly;
use eventstore::{EventStore, Message, Sequence, Stream, last_before};
use readmodel::{Lookup, ReadModel as _};
use runtime::{Config, config::EventLogKind};

use crate::{
    failure::Failure,
    ports::{self, NO_ROLE, Patience},
};
use merge::Merge;

/// How far the times of messages may be out of order: the clocks of processes differ, and the tasks of one process do
/// not store messages in the order in which they date them.
const CLOCKS_APART: Duration = Duration::from_mins(1);
/// How many messages are read at once.
pub(crate) const PAGE: usize = 500;

/// The log, open for reading.
pub(crate) enum Log {
    /// In a data directory.
    Embedded(ReadOnly),
    /// On NATS.
    JetStream(Box<Cluster>),
}

/// The log of a cluster.
pub(crate) struct Cluster {
    log: jetstream::ReadOnly,
    config: Config,
}

/// All streams, oldest message first.
pub(crate) enum Tail<'a> {
    /// One sequence counts all streams.
    Embedded {
        /// The log.
        log: &'a ReadOnly,
        /// What was read last.
        after: Sequence,
    },
    /// Each stream has a sequence of its own.
    JetStream(Merge<'a>),
}

impl Log {
    /// Opens the log that the configuration names.
    ///
    /// # Errors
    /// When there is none, or it is out of reach.
    pub(crate) async fn open(config: &Config) -> Result<Self, Failure> {
        match config.event_log.kind {
            EventLogKind::Embedded => Ok(Self::Embedded(ports::open_to_read(&config.data_dir)?)),
            EventLogKind::Jetstream => {
                let log = ports::jetstream_to_read(config).await?;
                Ok(Self::JetStream(Box::new(Cluster { log, config: config.clone() })))
            }
        }
    }

    /// The port to it.
    pub(crate) fn store(&self) -> &dyn EventStore {
        match self {
            Self::Embedded(log) => log,
            Self::JetStream(cluster) => &cluster.log,
        }
    }

    /// All streams from their beginning.
    pub(crate) fn tail(&self) -> Tail<'_> {
        match self {
            Self::Embedded(log) => Tail::Embedded { log, after: Sequence::NONE },
            Self::JetStream(cluster) => {
                let streams = cluster.streams().into_iter();
                let places = streams.map(|stream| (stream, Sequence::NONE));
                Tail::JetStream(Merge::new(&cluster.log, places))
            }
        }
    }

    /// All streams from a time on, and a little of what is before it. Messages dated by a clock that was wrong by more
    /// than a minute may be missing.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    pub(crate) async fn tail_since(&self, time: Timestamp) -> Result<Tail<'_>, Failure> {
        let time = time.minus(CLOCKS_APART);
        match self {
            Self::Embedded(log) => Ok(Tail::Embedded { log, after: log.last_before(time).await? }),
            Self::JetStream(cluster) => {
                let mut places = Vec::new();
                for stream in cluster.streams() {
                    places.push((stream, last_before(&cluster.log, stream, time).await?));
                }
                Ok(Tail::JetStream(Merge::new(&cluster.log, places)))
            }
        }
    }

    /// Shows every message of a stream, oldest first.
    ///
    /// # Errors
    /// When the log is out of reach or damaged, and those of the visitor.
    pub(crate) async fn each(
        &self,
        stream: Stream,
        mut visit: impl FnMut(Message) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut after = Sequence::NONE;
        loop {
            let page = self.store().scan(stream, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.sequence;
            page.into_iter().try_for_each(&mut visit)?;
        }
    }

    /// What the ledger says about a serial. The index leads to the certificate; a serial it does not know may have been
    /// reserved or given up, so the whole ledger is read then.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    pub(crate) async fn ledger(&self, serial: &Serial) -> Result<Vec<Message>, Failure> {
        if let Some(message) = self.indexed(serial).await? {
            return Ok(vec![message]);
        }
        let mut found = Vec::new();
        self.each(Stream::Ledger, |message| {
            if is_about(&message, serial)? {
                found.push(message);
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// The certificate of a serial in the ledger, as far as the index leads to it.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    pub(crate) async fn indexed(&self, serial: &Serial) -> Result<Option<Message>, Failure> {
        if let Some(sequence) = self.index(serial).await
            && let Some(message) = self.store().message(Stream::Ledger, sequence).await?
            && is_about(&message, serial)?
        {
            return Ok(Some(message));
        }
        Ok(None)
    }

    /// Where the index says that the ledger holds a certificate; an index that fails is as good as one that does not know.
    async fn index(&self, serial: &Serial) -> Option<Sequence> {
        let entry = match self {
            Self::Embedded(log) => log.certificate(serial).await.ok()?,
            Self::JetStream(cluster) => {
                let identity = cluster.log.identity().await.ok()?;
                let config = &cluster.config;
                let redis = ports::redis(config, &NO_ROLE, Patience::NONE, identity).await.ok()?;
                match redis.certificate(serial).await.ok()? {
                    Lookup::Found(entry) => Some(entry),
                    Lookup::Missing { .. } => None,
                }
            }
        };
        entry.map(|entry| entry.ledger_sequence)
    }
}

impl Cluster {
    fn streams(&self) -> Vec<Stream> {
        Stream::all(self.log.order_shards())
    }
}

impl Tail<'_> {
    /// The next messages; none at the end, after which more may come.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    pub(crate) async fn next(&mut self) -> Result<Vec<Message>, Failure> {
        match self {
            Self::Embedded { log, after } => {
                let page = log.log(*after, PAGE).await?;
                *after = page.last().map_or(*after, |message| message.sequence);
                Ok(page)
            }
            Self::JetStream(merge) => merge.next().await,
        }
    }
}

fn is_about(message: &Message, serial: &Serial) -> Result<bool, Failure> {
    let events: Vec<LedgerEvent> = message.envelope.decode()?;
    Ok(events.iter().any(|event| serial_of(event) == serial))
}

/// The serial a ledger entry is about.
pub(crate) fn serial_of(event: &LedgerEvent) -> &Serial {
    match event {
        LedgerEvent::SerialReserved(reserved) => &reserved.serial,
        LedgerEvent::CertificateSigned(signed) => &signed.serial,
        LedgerEvent::SerialBurned(burned) => &burned.serial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[tokio::test]
    async fn a_tail_from_a_time_on_begins_a_minute_before() {
        let dir = tempfile::tempdir().unwrap();
        let kinds = ["AccountCreated", "OrderPlaced", "SerialReserved", "OrderFinalized"];
        fixtures::append(&fixtures::log(dir.path()), &kinds).await;
        let log = Log::Embedded(ports::open_to_read(dir.path()).unwrap());
        for from in 0..=kinds.len() {
            let time = format!("2026-01-01T12:01:{from:02}Z").parse().unwrap();
            let page = log.tail_since(time).await.unwrap().next().await.unwrap();
            let shown: Vec<_> =
                page.iter().flat_map(|message| message.envelope.event_types()).collect();
            assert_eq!(shown, kinds[from..]);
        }
    }
}
