//! The ports of a cluster: the log on NATS JetStream, views and nonces in Redis.

use std::sync::Arc;

use jetstream::JetStream;
use redis_store::RedisStore;
use runtime::{Config, config::Secret};

use super::{Log, Ports};
use crate::failure::{Explain as _, Failure};

/// Connects to both; they are asked at the same time.
pub(super) async fn open(config: &Config) -> Result<Ports, Failure> {
    let (jetstream, redis) = tokio::try_join!(jetstream(config), redis(config))?;
    let (log, redis) = (Arc::new(jetstream.clone()), Arc::new(redis));
    Ok(Ports {
        store: Arc::clone(&log) as _,
        feed: Arc::clone(&log) as _,
        wakes: Arc::clone(&log) as _,
        calls: log,
        views: Arc::clone(&redis) as _,
        admission: redis,
        log: Log::JetStream(jetstream),
    })
}

/// Connects to the log alone.
///
/// # Errors
/// When it is out of reach or not safe to use.
pub(crate) async fn jetstream(config: &Config) -> Result<JetStream, Failure> {
    let log = &config.event_log;
    let options = jetstream::Options {
        servers: log.servers.iter().map(|server| server.expose().to_owned()).collect(),
        monitor_urls: log.monitor_urls.clone(),
        replicas: log.replicas,
        allow_unsafe_dev: log.allow_unsafe_dev,
        order_shards: log.order_shards,
        order_max_age: config.order_max_age(),
        ..jetstream::Options::default()
    };
    JetStream::connect(options)
        .await
        .while_doing("cannot use the event log")
        .advise("The log is where event_log.servers says.")
}

/// Connects to the read model.
pub(crate) async fn redis(config: &Config) -> Result<RedisStore, Failure> {
    let options = redis_store::Options {
        keep_certificate: config.ca.crl_validity.get(),
        ..redis_store::Options::default()
    };
    let url = config.redis.url.as_ref().map_or("", Secret::expose);
    RedisStore::connect(url, options).await.while_doing("cannot use the read model").advise(
        "Redis is where redis.url says: see that it runs and that the URL leads to its primary.",
    )
}
