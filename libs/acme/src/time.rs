//! Times as ACME resources show them: RFC 3339 in whole seconds.

use domain::Timestamp;
use serde::Serializer;

/// Writes a time without its fraction, which some clients cannot read.
pub(crate) fn whole_seconds<S: Serializer>(
    time: &Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.whole_seconds())
}

/// Writes a time that may be absent; use with `skip_serializing_if`.
pub(crate) fn optional_whole_seconds<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => whole_seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
