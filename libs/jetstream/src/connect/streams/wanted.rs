//! How the log's streams have to be, and whether one is so.

use std::{cmp::Ordering, time::Duration};

use eventstore::{Envelope, Stream};
use serde_json::{Map, Value, json};

use crate::{ConnectError, Options, append::MAX_HEADER_BYTES, names::Names};

/// Within this time the servers drop a publisher's repeated message. Correctness rests on compare-and-set instead.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// How long messages of the self-test are kept.
const SELF_TEST_MAX_AGE: Duration = Duration::from_hours(1);
/// The field that says how long messages are kept.
pub(super) const MAX_AGE: &str = "max_age";

/// A stream's configuration, as the servers show it.
pub(super) type Config = Map<String, Value>;

/// A stream as it has to be; what is not here is the same for all.
pub(super) struct Wanted {
    pub(super) name: String,
    subjects: String,
    /// `None`: kept for ever.
    max_age: Option<Duration>,
}

impl Wanted {
    /// All streams of the log, and the one that the servers are tried with.
    pub(super) fn all(names: &Names, options: &Options) -> Vec<Self> {
        let streams = Stream::all(options.order_shards).into_iter().map(|stream| Wanted {
            name: names.stream(stream),
            subjects: names.all_of(stream),
            max_age: match stream {
                Stream::Orders(_) => Some(options.order_max_age),
                Stream::Accounts
                | Stream::Administration
                | Stream::Ledger
                | Stream::Revocations => None,
            },
        });
        let self_test = Wanted {
            name: names.self_test_stream(),
            subjects: names.self_test_subject(">"),
            max_age: Some(SELF_TEST_MAX_AGE),
        };
        streams.chain([self_test]).collect()
    }

    /// Whether its messages are kept for ever.
    pub(super) fn is_kept(&self) -> bool {
        self.max_age.is_none()
    }

    /// The configuration of a stream. `null` stands for what must not be set.
    pub(super) fn config(&self, replicas: u8) -> Config {
        let max_age = self.max_age.unwrap_or(Duration::ZERO);
        let fields = [
            ("name", json!(self.name)),
            ("subjects", json!([self.subjects])),
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
            ("deny_purge", json!(self.max_age.is_none())),
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
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How the time that a stream keeps messages compares with the wanted one; `None` unless both are limited: a stream that must
/// not be limited, or is not, is different in kind.
pub(super) fn compare_max_age(found: &Config, wanted: &Config) -> Option<Ordering> {
    let age = |config: &Config| config.get(MAX_AGE).and_then(Value::as_u64).filter(|age| *age > 0);
    Some(age(found)?.cmp(&age(wanted)?))
}

/// Refuses a stream that is not as it has to be.
pub(super) fn refuse_difference(
    name: &str,
    wanted: &Config,
    found: &Config,
) -> Result<(), ConnectError> {
    let Some((field, wanted, found)) = difference(wanted, found) else { return Ok(()) };
    let (wanted, found) = (wanted.to_string(), found.to_string());
    Err(ConnectError::StreamDiffers { stream: name.to_owned(), field, wanted, found })
}

/// The first field that is not as wanted, with what is wanted and what was found. To keep messages for longer is no difference:
/// lowering the time would delete orders.
fn difference(wanted: &Config, found: &Config) -> Option<(String, Value, Value)> {
    let is_kept_longer = compare_max_age(found, wanted) == Some(Ordering::Greater);
    let differs = |field: &&String| {
        if *field == MAX_AGE && is_kept_longer {
            return false;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Config {
        let wanted = Wanted {
            name: "certmill-accounts".to_owned(),
            subjects: "certmill.account.>".to_owned(),
            max_age: None,
        };
        wanted.config(3)
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
