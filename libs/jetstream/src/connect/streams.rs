//! Creates the log's streams, or verifies that those which exist are as they must be.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use eventstore::{Envelope, Stream};
use futures::{TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ConnectError, server};
use crate::{
    Options,
    append::MAX_HEADER_BYTES,
    connection::{ApiError, Connection},
    names::Names,
};

/// Within this time the servers drop a publisher's repeated message. Correctness rests on compare-and-set instead.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// How long messages of the self-test are kept.
const SELF_TEST_MAX_AGE: Duration = Duration::from_hours(1);
/// The field that says how long messages are kept.
const MAX_AGE: &str = "max_age";
/// How many streams are set up at once.
const AT_ONCE: usize = 4;

type Config = Map<String, Value>;

#[derive(Deserialize)]
struct Info {
    config: Config,
    created: String,
    state: State,
}

#[derive(Deserialize)]
struct State {
    messages: u64,
}

/// What differs between the streams.
struct Wanted {
    name: String,
    subjects: String,
    /// `None`: kept for ever.
    max_age: Option<Duration>,
}

/// Sees to it that every stream is there and configured as wanted. Old servers leave out what they do not know without
/// a word, so what they say to have created is compared as well.
pub(super) async fn ensure(
    connection: &Connection,
    names: &Names,
    options: &Options,
) -> Result<(), ConnectError> {
    refuse_fewer_shards(connection, names, options.order_shards).await?;
    let wanted = wanted(names, options);
    if !options.may_begin {
        for kept in wanted.iter().filter(|wanted| wanted.max_age.is_none()) {
            existing(connection, &kept.name).await?;
        }
    }
    stream::iter(wanted.iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |wanted| {
            ensure_one(connection, wanted.name.as_str(), config(wanted, options.replicas))
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
        let (name, wanted) = (stream.name.as_str(), config(&stream, options.replicas));
        let mut found = existing(connection, name).await?.config;
        if let Some((wanted_age, found_age)) = limits(&wanted, &found)
            && found_age > wanted_age
        {
            found.insert(MAX_AGE.to_owned(), wanted_age.into());
        }
        refuse_difference(name, &wanted, &found)
    };
    stream::iter(wanted(names, options).into_iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, compare_one)
        .await
}

/// Sees to it that every stream that a reader needs is there, and answers over how many streams orders are spread, also where
/// the reader knows of fewer; changes nothing.
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

/// When a stream was made, which no other stream shares and no restart, edit or move changes.
pub(crate) async fn created(
    connection: &Connection,
    names: &Names,
    stream: Stream,
) -> Result<String, ConnectError> {
    existing(connection, &names.stream(stream)).await.map(|info| info.created)
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

/// Refuses fewer order shards than hold orders: nobody would lead those of the others on, and they would not be found.
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

fn wanted(names: &Names, options: &Options) -> Vec<Wanted> {
    let streams = Stream::all(options.order_shards).into_iter().map(|stream| Wanted {
        name: names.stream(stream),
        subjects: names.all_of(stream),
        max_age: match stream {
            Stream::Orders(_) => Some(options.order_max_age),
            Stream::Accounts | Stream::Administration | Stream::Ledger | Stream::Revocations => {
                None
            }
        },
    });
    let self_test = Wanted {
        name: names.self_test_stream(),
        subjects: names.self_test_subject(">"),
        max_age: Some(SELF_TEST_MAX_AGE),
    };
    streams.chain([self_test]).collect()
}

/// The configuration of a stream. `null` stands for what must not be set.
fn config(wanted: &Wanted, replicas: u8) -> Config {
    let max_age = wanted.max_age.unwrap_or(Duration::ZERO);
    let fields = [
        ("name", json!(wanted.name)),
        ("subjects", json!([wanted.subjects])),
        ("storage", json!("file")),
        ("num_replicas", json!(replicas)),
        ("retention", json!("limits")),
        (MAX_AGE, json!(nanos(max_age))),
        // A limit per subject would drop the first messages of an order of many names.
        ("max_msgs_per_subject", json!(-1)),
        ("max_msgs", json!(-1)),
        ("max_bytes", json!(-1)),
        ("max_consumers", json!(-1)),
        ("max_msg_size", json!(Envelope::MAX_BYTES + MAX_HEADER_BYTES)),
        ("discard", json!("new")),
        ("duplicate_window", json!(nanos(DUPLICATE_WINDOW))),
        ("deny_delete", true.into()),
        ("deny_purge", json!(wanted.max_age.is_none())),
        // Replicas that lag would answer direct gets.
        ("allow_direct", false.into()),
        ("mirror_direct", false.into()),
        ("allow_rollup_hdrs", false.into()),
        ("allow_msg_ttl", Value::Null),
        ("allow_msg_counter", Value::Null),
        ("sealed", Value::Null),
        ("no_ack", Value::Null),
        ("mirror", Value::Null),
        ("sources", Value::Null),
        ("republish", Value::Null),
        ("subject_transform", Value::Null),
        ("persist_mode", Value::Null),
        // Compressed and encrypted stores had bugs that corrupted them as late as June 2026.
        ("compression", json!("none")),
    ];
    fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
    let found = keep_longer(connection, name, &wanted, found).await?;
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

/// Raises the time messages are kept to what is wanted, and lets a longer one be: lowering it would delete orders.
async fn keep_longer(
    connection: &Connection,
    name: &str,
    wanted: &Config,
    mut found: Config,
) -> Result<Config, ConnectError> {
    let Some((wanted_age, found_age)) = limits(wanted, &found) else { return Ok(found) };
    if found_age > wanted_age {
        tracing::warn!(stream = name, "messages are kept longer than configured");
        found.insert(MAX_AGE.to_owned(), wanted_age.into());
        return Ok(found);
    }
    found.insert(MAX_AGE.to_owned(), wanted_age.into());
    tracing::info!(stream = name, "messages are kept longer from now on");
    let updated = request(connection, "UPDATE", name, &found).await;
    updated.map(|updated| updated.config).map_err(|error| match error {
        ApiError::Forbidden { .. } => ConnectError::KeptTooShort { stream: name.to_owned() },
        error => failed(name, error),
    })
}

/// How long messages are to be kept and are, in nanoseconds, where that differs in a stream that is limited here and there:
/// one that must not be limited, or is not, is different in kind.
fn limits(wanted: &Config, found: &Config) -> Option<(u64, u64)> {
    let age = |config: &Config| config.get(MAX_AGE).and_then(Value::as_u64).filter(|age| *age > 0);
    let (wanted, found) = (age(wanted)?, age(found)?);
    (wanted != found).then_some((wanted, found))
}

fn refuse_difference(name: &str, wanted: &Config, found: &Config) -> Result<(), ConnectError> {
    let Some((field, wanted, found)) = difference(wanted, found) else { return Ok(()) };
    let (wanted, found) = (wanted.to_string(), found.to_string());
    Err(ConnectError::StreamDiffers { stream: name.to_owned(), field, wanted, found })
}

/// The first field that is not as wanted, with what is wanted and what was found.
fn difference(wanted: &Config, found: &Config) -> Option<(String, Value, Value)> {
    let differs = |field: &&String| {
        let (wanted, found) = (&wanted[*field], found.get(*field).unwrap_or(&Value::Null));
        wanted != found && !(is_unset(wanted) && is_unset(found))
    };
    let field = wanted.keys().find(differs)?;
    let found = found.get(field).cloned().unwrap_or(Value::Null);
    Some((field.clone(), wanted[field].clone(), found))
}

/// Servers leave out what is not set.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "default",
        Value::Array(items) => items.is_empty(),
        Value::Number(_) | Value::Bool(true) | Value::Object(_) => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Config {
        let wanted = Wanted {
            name: "certmill-accounts".to_owned(),
            subjects: "certmill.account.>".to_owned(),
            max_age: None,
        };
        config(&wanted, 3)
    }

    #[test]
    fn a_field_that_a_server_leaves_out_is_a_difference_if_it_matters() {
        let mut found = accounts();
        found.remove("allow_direct");
        found.remove("mirror");
        assert_eq!(difference(&accounts(), &found), None);
        found.remove("deny_delete");
        let (field, wanted, found) = difference(&accounts(), &found).unwrap();
        assert_eq!((field.as_str(), wanted, found), ("deny_delete", true.into(), Value::Null));
    }

    #[test]
    fn a_field_that_must_not_be_set_is_a_difference_when_it_is() {
        for (field, value) in [
            ("persist_mode", json!("async")),
            ("mirror", json!({"name": "x"})),
            ("allow_msg_ttl", json!(true)),
        ] {
            let mut found = accounts();
            found.insert(field.to_owned(), value);
            assert_eq!(difference(&accounts(), &found).unwrap().0, field);
        }
    }
}
