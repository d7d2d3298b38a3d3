//! Creates the log's streams, or verifies that those which exist are as they must be.

mod wanted;

use std::{cmp::Ordering, collections::BTreeSet, time::Duration};

use async_nats::jetstream::ErrorCode;
use eventstore::Stream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use self::wanted::{Config, MAX_AGE, Wanted, compare_max_age, refuse_difference};
use super::{ConnectError, server};
use crate::{
    Options,
    connection::{ApiError, Connection},
    names::Names,
};

/// What distinguishes a log from every other one, even from one that was created or restored in its place. It is the
/// same log if either field is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// When its stream of accounts was created, which no restart, edit or move changes. After a restore, the server
    /// that received the copy reports another time than the others until it is restarted.
    pub made_at: String,
    /// The Raft group that keeps that stream, which all its servers report alike as long as there are several of them.
    pub group: Option<String>,
}

/// How many streams are set up at once.
const AT_ONCE: usize = 4;
/// A replica is away when its leader, which asks every second, has not heard from it for so long.
const AWAY_AFTER: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Info {
    config: Config,
    created: String,
    state: State,
    #[serde(default)]
    cluster: Keepers,
}

/// The servers that keep a stream: its leader, the others, and the name of their Raft group, unless there is only one
/// server.
#[derive(Default, Deserialize)]
struct Keepers {
    raft_group: Option<String>,
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    name: String,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    /// For how many nanoseconds the leader has not heard of it; zero also where it never has.
    #[serde(default)]
    active: u64,
}

impl Replica {
    /// Whether it acknowledges nothing. The servers take minutes to say that one which was killed is offline.
    fn is_away(&self) -> bool {
        let silent = Duration::from_nanos(self.active);
        self.offline || !self.current && (silent.is_zero() || silent > AWAY_AFTER)
    }
}

#[derive(Deserialize)]
struct State {
    messages: u64,
}

/// Makes sure that every stream exists and is configured as wanted. Old servers silently drop settings that they do not
/// know, so the configuration that they report after creating a stream is compared as well.
pub(super) async fn ensure(
    connection: &Connection,
    names: &Names,
    options: &Options,
) -> Result<(), ConnectError> {
    refuse_fewer_shards(connection, names, options.order_shards).await?;
    let wanted = Wanted::all(names, options);
    if !options.may_begin {
        for kept in wanted.iter().filter(|wanted| wanted.is_kept()) {
            existing(connection, &kept.name).await?;
        }
    }
    stream::iter(wanted.iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |wanted| {
            ensure_one(connection, &wanted.name, wanted.config(options.replicas))
        })
        .await
}

/// Compares every stream with what is wanted; changes nothing.
pub(crate) async fn compare(
    connection: &Connection,
    names: &Names,
    options: &Options,
) -> Result<(), ConnectError> {
    let compare_one = async |stream: Wanted| {
        let wanted = stream.config(options.replicas);
        let found = existing(connection, &stream.name).await?.config;
        refuse_difference(&stream.name, &wanted, &found)
    };
    stream::iter(Wanted::all(names, options).into_iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, compare_one)
        .await
}

/// The names of all servers that keep streams, except those that are away, which may be gone for good.
pub(super) async fn keepers(
    connection: &Connection,
    names: &Names,
    options: &Options,
) -> Result<BTreeSet<String>, ConnectError> {
    let keepers_of =
        async |stream: Wanted| existing(connection, &stream.name).await.map(|info| info.cluster);
    let keepers: Vec<Keepers> = stream::iter(Wanted::all(names, options))
        .map(keepers_of)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let there = |Keepers { leader, replicas, .. }| {
        let others = replicas.into_iter().filter(|it: &Replica| !it.is_away()).map(|it| it.name);
        leader.into_iter().chain(others)
    };
    Ok(keepers.into_iter().flat_map(there).collect())
}

/// Checks that every stream that a reader needs exists, and counts the streams of orders, which may be more than the
/// reader is configured for. Changes nothing.
pub(crate) async fn find(
    connection: &Connection,
    names: &Names,
    order_shards: u8,
) -> Result<u8, ConnectError> {
    let find_one = async |name: String| existing(connection, &name).await.map(drop);
    stream::iter(Stream::all(order_shards).into_iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |stream| find_one(names.stream(stream)))
        .await?;
    for shard in order_shards..u8::MAX {
        match find_one(names.stream(Stream::Orders(shard))).await {
            Ok(()) => {}
            Err(ConnectError::StreamMissing { .. }) => return Ok(shard),
            Err(error) => return Err(error),
        }
    }
    Ok(u8::MAX)
}

/// What tells the log from all others, by its stream of accounts.
pub(crate) async fn identity(
    connection: &Connection,
    names: &Names,
) -> Result<Identity, ConnectError> {
    let info = existing(connection, &names.stream(Stream::Accounts)).await?;
    Ok(Identity { made_at: info.created, group: info.cluster.raft_group })
}

/// A stream that has to be there.
async fn existing(connection: &Connection, name: &str) -> Result<Info, ConnectError> {
    request(connection, "INFO", name, &Config::new()).await.map_err(|error| {
        if error.is_stream_not_found() {
            ConnectError::StreamMissing { stream: name.to_owned() }
        } else {
            server::unheard(error)
        }
    })
}

/// Refuses fewer order shards than hold orders: nobody would work on the orders in the others, or find them.
async fn refuse_fewer_shards(
    connection: &Connection,
    names: &Names,
    order_shards: u8,
) -> Result<(), ConnectError> {
    let mut refusal = None;
    for shard in order_shards..u8::MAX {
        let name = names.stream(Stream::Orders(shard));
        match request(connection, "INFO", &name, &Config::new()).await {
            Ok(info) if info.state.messages == 0 => {}
            Ok(_) => {
                let (configured, needed) = (order_shards, shard + 1);
                refusal = Some(ConnectError::FewerShards { configured, stream: name, needed });
            }
            Err(error) if error.is_stream_not_found() => break,
            Err(error) => return Err(failed(&name, error)),
        }
    }
    refusal.map_or(Ok(()), Err)
}

async fn ensure_one(
    connection: &Connection,
    name: &str,
    wanted: Config,
) -> Result<(), ConnectError> {
    let found = match request(connection, "INFO", name, &Config::new()).await {
        Ok(found) => found.config,
        Err(error) if error.is_stream_not_found() => create(connection, name, &wanted).await?,
        Err(error) => return Err(failed(name, error)),
    };
    let found = raise_max_age(connection, name, &wanted, found).await?;
    refuse_difference(name, &wanted, &found)
}

async fn create(
    connection: &Connection,
    name: &str,
    wanted: &Config,
) -> Result<Config, ConnectError> {
    let set: Config = wanted
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    match request(connection, "CREATE", name, &set).await {
        Ok(created) => {
            tracing::info!(stream = name, "stream created");
            Ok(created.config)
        }
        // Another process was faster.
        Err(ApiError::Refused(error)) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {
            let found = request(connection, "INFO", name, &Config::new()).await;
            found.map(|found| found.config).map_err(|error| failed(name, error))
        }
        Err(ApiError::Forbidden { .. }) => {
            Err(ConnectError::StreamMissing { stream: name.to_owned() })
        }
        Err(error) => Err(failed(name, error)),
    }
}

/// Raises the time that a stream keeps messages to the wanted one, unless it is longer already.
async fn raise_max_age(
    connection: &Connection,
    name: &str,
    wanted: &Config,
    mut found: Config,
) -> Result<Config, ConnectError> {
    match compare_max_age(&found, wanted) {
        Some(Ordering::Less) => {}
        Some(Ordering::Greater) => {
            tracing::warn!(stream = name, "messages are kept longer than configured");
            return Ok(found);
        }
        Some(Ordering::Equal) | None => return Ok(found),
    }
    found.insert(MAX_AGE.to_owned(), wanted[MAX_AGE].clone());
    tracing::info!(stream = name, "messages are kept longer from now on");
    let updated = request(connection, "UPDATE", name, &found).await;
    updated.map(|updated| updated.config).map_err(|error| match error {
        ApiError::Forbidden { .. } => ConnectError::KeptTooShort { stream: name.to_owned() },
        error => failed(name, error),
    })
}

async fn request(
    connection: &Connection,
    verb: &str,
    name: &str,
    config: &Config,
) -> Result<Info, ApiError> {
    connection.api(&format!("STREAM.{verb}.{name}"), config).await
}

fn failed(name: &str, error: ApiError) -> ConnectError {
    match error {
        ApiError::Refused(source) if source.error_code() != ErrorCode::CLUSTER_NOT_AVAILABLE => {
            ConnectError::StreamRefused { stream: name.to_owned(), source }
        }
        error => error.into(),
    }
}
