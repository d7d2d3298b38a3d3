//! What is checked before a log is used, and how an operator hears what to change.

mod monitor;
mod self_test;
mod server;
mod streams;

use std::{io, path::PathBuf};

use async_nats::{
    ConnectErrorKind,
    jetstream::{self, ErrorCode},
};
use eventstore::AppendError;
use reqwest::Url;

use crate::{
    Options,
    connection::{ApiError, Connection},
    names::Names,
};

pub use self::streams::Identity;
pub(crate) use self::streams::{compare, find, identity};

/// Fewer copies than this lose acknowledged messages with one server.
const MIN_REPLICAS: u8 = 3;

/// The log cannot be used. Each message tells the operator what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server is configured.
    #[error("no NATS server is named: set event_log.servers")]
    NoServer,
    /// A server's address cannot be read.
    #[error("entry {entry} of event_log.servers is not a NATS URL such as nats://nats-0.nats:4222")]
    InvalidServer {
        /// Its place in the list, from 1.
        entry: usize,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The prefix cannot be a token of a subject.
    #[error(
        "the log's prefix {prefix:?} cannot name streams: use up to 32 letters, digits, '-' and '_'"
    )]
    InvalidPrefix {
        /// The prefix.
        prefix: String,
    },
    /// The credentials file cannot be read.
    #[error("the NATS credentials file cannot be read: check its path and permissions")]
    Credentials(#[source] io::Error),
    /// A file for TLS cannot be read.
    #[error("cannot read {}, the file of event_log.{key}", path.display())]
    File {
        /// What names it.
        key: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No server accepts a connection.
    #[error(
        "no NATS server accepts the connection: check event_log.servers, the credentials, and that nats-server runs"
    )]
    Unreachable(#[source] async_nats::ConnectError),
    /// The server lacks fixes without which two writers can win, or acknowledged messages are lost.
    #[error(
        "nats-server {name} is version {version}, which is not safe for a CA: upgrade it to {} or newer",
        server::MINIMUM
    )]
    ServerTooOld {
        /// The server.
        name: String,
        /// What it says of itself.
        version: String,
    },
    /// The server accepts only small messages.
    #[error(
        "nats-server accepts messages of up to {found} bytes: set max_payload to at least {wanted}"
    )]
    PayloadTooSmall {
        /// What an event needs.
        wanted: usize,
        /// What the server takes.
        found: usize,
    },
    /// The servers have no JetStream for this account.
    #[error(
        "JetStream is not enabled: add `jetstream {{ store_dir: \"…\", sync_interval: always }}` to the configuration of nats-server, and enable it for the account"
    )]
    Disabled,
    /// One server's loss would lose messages.
    #[error(
        "event_log.replicas is {replicas}: set it to 3 or 5, or event_log.allow_unsafe_dev = true for development"
    )]
    TooFewReplicas {
        /// How many are configured.
        replicas: u8,
    },
    /// There is no way to see how the servers sync.
    #[error(
        "cannot check whether the NATS servers sync each message: set event_log.monitor_urls to their monitoring URLs, such as http://nats-0.nats:8222, or event_log.allow_unsafe_dev = true for development"
    )]
    NoMonitor,
    /// Most of the servers do not show how they sync.
    #[error(
        "only {answered} of {asked} event_log.monitor_urls answer, but more than half must: check the URLs, and that nats-server runs with `http: 8222`"
    )]
    MonitorUnreachable {
        /// How many answered.
        answered: usize,
        /// How many are configured.
        asked: usize,
        /// Why the last one did not.
        source: MonitorError,
    },
    /// Servers that keep messages are not among those that show how they sync.
    #[error(
        "event_log.monitor_urls lead to {seen} different servers, but each message is kept on {replicas}: name the monitoring URL of every NATS server, or event_log.allow_unsafe_dev = true for development"
    )]
    ServersUnseen {
        /// How many servers there may be behind the URLs.
        seen: usize,
        /// On how many each message is kept.
        replicas: u8,
    },
    /// A server keeps messages that is not among those that show how they sync, of which there are more than replicas.
    #[error(
        "nats-server {name} keeps messages, and none of event_log.monitor_urls leads to it: name the monitoring URL of every NATS server, or event_log.allow_unsafe_dev = true for development"
    )]
    KeeperUnseen {
        /// The server.
        name: String,
    },
    /// The process has no TLS library to ask the monitor with.
    #[error("no TLS provider is installed in this process: install one before connecting")]
    NoCryptoProvider,
    /// A server acknowledges messages before they are on disk.
    #[error(
        "nats-server {name} at {url} acknowledges messages before they are on disk: set `sync_interval: always` in its jetstream block, or event_log.allow_unsafe_dev = true for development"
    )]
    LazySync {
        /// The server.
        name: String,
        /// Its monitoring URL.
        url: Url,
    },
    /// A stream is not as the log needs it.
    #[error(
        "stream {stream} has {field} = {found}, but {wanted} is needed: change it with `nats stream edit {stream}`, or remove the stream if it is not Certmill's"
    )]
    StreamDiffers {
        /// The stream.
        stream: String,
        /// The field of its configuration.
        field: String,
        /// What it must be, as JSON.
        wanted: String,
        /// What it is, as JSON.
        found: String,
    },
    /// A stream is not there, and whoever needs it may not make it, or only reads.
    #[error(
        "there is no stream {stream}: check event_log.servers, event_log.order_shards and the NATS account of the credentials; restore a lost stream from its backup, or without a backup start the signer, which creates it"
    )]
    StreamMissing {
        /// The stream.
        stream: String,
    },
    /// Orders would be gone before they end, and the user may not change that.
    #[error(
        "stream {stream} keeps messages for less than the longest order_validity plus 72 h, and this user may not change that: run `certmill rebuild` with the operator's credentials and this configuration"
    )]
    KeptTooShort {
        /// The stream.
        stream: String,
    },
    /// Orders would be found by nobody.
    #[error(
        "event_log.order_shards is {configured}, but stream {stream} holds orders: set it to {needed} or more, as before, until they are gone"
    )]
    FewerShards {
        /// How many are configured.
        configured: u8,
        /// The last stream beyond them that is not empty.
        stream: String,
        /// How many it takes to have this one.
        needed: u8,
    },
    /// A stream cannot be looked at, created or changed.
    #[error(
        "stream {stream} cannot be set up: check that the account may use the JetStream API, and that there are enough servers and space for its replicas"
    )]
    StreamRefused {
        /// The stream.
        stream: String,
        /// What the server said.
        source: jetstream::Error,
    },
    /// Two writers won.
    #[error(
        "the NATS servers let two writers win one compare-and-set, which could issue two certificates for one order: do not use them, and report their version"
    )]
    CompareAndSetBroken,
    /// The trial of compare-and-set had no clear outcome.
    #[error(
        "the compare-and-set trial did not succeed: check the health of the NATS servers and start again"
    )]
    SelfTest(#[source] AppendError),
    /// The user may not do what has to be done.
    #[error(
        "the NATS user may not publish to {subject}: give it what `certmill ca nats-permissions` prints for its role"
    )]
    Forbidden {
        /// The subject.
        subject: String,
    },
    /// The servers did not answer in time.
    #[error(
        "JetStream does not answer: check that the NATS cluster has a leader (`nats server report jetstream`) and that the user may ask it (`certmill ca nats-permissions`), and start again"
    )]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A server's monitor did not show its state.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The request failed.
    #[error("the request failed")]
    Http(#[from] reqwest::Error),
    /// The answer is longer than any server's state.
    #[error("the answer is too long")]
    TooLong,
    /// The answer is not a server's state.
    #[error("the answer is not the state of a NATS server")]
    Malformed(#[from] serde_json::Error),
}

impl ConnectError {
    /// Whether the failure may pass by itself: servers are out of reach or elect a leader, or a stream is about to be
    /// created.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(error) => !matches!(
                error.kind(),
                ConnectErrorKind::ServerParse
                    | ConnectErrorKind::Authentication
                    | ConnectErrorKind::AuthorizationViolation
                    | ConnectErrorKind::Tls
            ),
            Self::MonitorUnreachable { .. }
            // Somebody else makes or changes the stream: the signer, which starts at the same time, or the operator.
            | Self::StreamMissing { .. }
            | Self::KeptTooShort { .. }
            | Self::SelfTest(AppendError::Unknown(_) | AppendError::Unavailable(_))
            | Self::Unavailable(_) => true,
            // A server that the replicas need has not told the others yet that it is there.
            Self::StreamRefused { source, .. } => {
                source.error_code() == ErrorCode::CLUSTER_NO_PEERS
            }
            _ => false,
        }
    }
}

impl From<ApiError> for ConnectError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Refused(refused) if is_disabled(&refused) => Self::Disabled,
            ApiError::Forbidden { subject } => Self::Forbidden { subject },
            error => Self::Unavailable(error.into()),
        }
    }
}

fn is_disabled(error: &jetstream::Error) -> bool {
    [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT]
        .contains(&error.error_code())
}

/// What streams and subjects are called.
pub(crate) fn names(options: &Options) -> Result<Names, ConnectError> {
    let invalid = || ConnectError::InvalidPrefix { prefix: options.prefix.clone() };
    Names::new(&options.prefix).ok_or_else(invalid)
}

/// Refuses options that no server could make safe.
pub(crate) fn check_options(options: &Options) -> Result<(), ConnectError> {
    if options.allow_unsafe_dev {
        return Ok(());
    }
    if options.replicas < MIN_REPLICAS {
        return Err(ConnectError::TooFewReplicas { replicas: options.replicas });
    }
    if options.monitor_urls.is_empty() {
        return Err(ConnectError::NoMonitor);
    }
    Ok(())
}

/// Checks the servers, creates or verifies the streams, and tries compare-and-set out.
pub(crate) async fn prepare(
    connection: &Connection,
    names: &Names,
    options: &Options,
) -> Result<(), ConnectError> {
    server::check(connection).await?;
    let seen = match options.allow_unsafe_dev {
        true => None,
        false => Some(monitor::check(&options.monitor_urls, options.replicas).await?),
    };
    streams::ensure(connection, names, options).await?;
    if let Some(seen) = seen {
        seen.refuse_others(streams::keepers(connection, names, options).await?)?;
    }
    self_test::run(connection, names).await
}
