//! The ports of a cluster: the log on NATS JetStream, views and nonces in Redis.

use std::{collections::BTreeSet, sync::Arc};

use jetstream::JetStream;
use redis_store::RedisStore;
use runtime::{
    Config, Role,
    config::{EventLog, Secret},
};

use super::{LogAdapter, Patience, Ports};
use crate::{
    failure::{Explain as _, Failure},
    redis_rights,
};

const WHERE_THE_LOG_IS: &str = "Check event_log.servers, which says where the log is.";

/// Connects to both: first to the log, because the database of the read model is checked to belong to it.
pub(super) async fn open(
    config: &Config,
    roles: &BTreeSet<Role>,
    patience: Patience,
) -> Result<Ports, Failure> {
    let (jetstream, identity) = jetstream(config, roles, patience).await?;
    let redis = redis(config, roles, patience, identity).await?;
    let (log, redis) = (Arc::new(jetstream.clone()), Arc::new(redis));
    Ok(Ports {
        store: Arc::clone(&log) as _,
        feed: Arc::clone(&log) as _,
        tail: Arc::clone(&log) as _,
        wakes: Arc::clone(&log) as _,
        calls: log,
        views: Arc::clone(&redis) as _,
        admission: redis,
        log: LogAdapter::JetStream(jetstream),
    })
}

/// Connects to the log, creates or changes its streams where necessary, and returns it with its identity. A command
/// never begins a log: it may have been pointed at other servers, and a log that was lost is restored instead.
async fn jetstream(
    config: &Config,
    roles: &BTreeSet<Role>,
    patience: Patience,
) -> Result<(JetStream, jetstream::Identity), Failure> {
    let options = jetstream::Options { may_begin: !roles.is_empty(), ..options(config) };
    let connect = async || {
        let log = JetStream::connect(options.clone()).await?;
        let identity = log.identity().await?;
        Ok((log, identity))
    };
    patience
        .reach("the event log", jetstream::ConnectError::is_transient, connect)
        .await
        .while_doing("cannot use the event log")
        .advise(WHERE_THE_LOG_IS)
}

/// Connects to the log for reading; makes no stream where there is none.
///
/// # Errors
/// When it is out of reach or not there.
pub(crate) async fn jetstream_to_read(config: &Config) -> Result<jetstream::ReadOnly, Failure> {
    let opened = JetStream::open_read_only(&options(config)).await;
    opened.while_doing("cannot read the event log").advise(WHERE_THE_LOG_IS)
}

fn options(config: &Config) -> jetstream::Options {
    let log = &config.event_log;
    jetstream::Options {
        servers: log.servers.iter().map(|server| server.expose().to_owned()).collect(),
        credentials: log.credentials.clone(),
        root_certificates: log.root_certificates.clone(),
        client_certificate: client_certificate(log),
        monitor_urls: log.monitor_urls.clone(),
        replicas: log.replicas,
        allow_unsafe_dev: log.allow_unsafe_dev,
        order_shards: log.order_shards,
        order_max_age: config.order_max_age(),
        ..jetstream::Options::default()
    }
}

fn client_certificate(log: &EventLog) -> Option<jetstream::ClientCertificate> {
    let (chain, key) = (log.client_certificate.clone()?, log.client_key.clone()?);
    Some(jetstream::ClientCertificate { chain, key })
}

/// Connects to the read model of a log.
pub(crate) async fn redis(
    config: &Config,
    roles: &BTreeSet<Role>,
    patience: Patience,
    jetstream::Identity { made_at, group }: jetstream::Identity,
) -> Result<RedisStore, Failure> {
    let options = redis_store::Options {
        log: redis_store::LogIdentity { made_at, group },
        nonce_lifetime: super::nonce_lifetime(config)?,
        tls_roots: config.redis.root_certificates.clone(),
        keep_order_entry: config.order_max_age(),
        keep_certificate: config.ca.crl_validity.get(),
        rights: redis_rights::needed(roles),
        observe: super::measured::redis_command,
        ..redis_store::Options::default()
    };
    let url = config.redis.url.as_ref().map_or("", Secret::expose);
    let connect = async || RedisStore::connect(url, options.clone()).await;
    patience
        .reach("the read model", redis_store::ConnectError::is_transient, connect)
        .await
        .while_doing("cannot use the read model")
        .advise("Check that Redis runs and that redis.url leads to its primary.")
}
