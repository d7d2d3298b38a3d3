//! What the server says of itself.

use std::fmt;

use async_nats::jetstream::{account::Account, context::RequestErrorKind};
use eventstore::Envelope;

use super::ConnectError;
use crate::{
    append::MAX_HEADER_BYTES,
    connection::{ACCOUNT_INFO, ApiError, Connection},
};

/// The oldest version without known ways to let two writers win or to lose acknowledged messages. 2.15 also made
/// `sync_interval: always` affordable with replicas.
pub(super) const MINIMUM: Version = Version { numbers: [2, 15, 1], prerelease: false };

/// A release of nats-server; `2.15.1-RC.1` comes before `2.15.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    numbers: [u32; 3],
    prerelease: bool,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(Self { numbers, prerelease: rest.starts_with('-') })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Refuses a server that is too old.
pub(super) fn check_version(name: &str, version: &str) -> Result<(), ConnectError> {
    let recent = Version::parse(version)
        .is_some_and(|found| found.numbers > MINIMUM.numbers || found == MINIMUM);
    let too_old =
        || ConnectError::ServerTooOld { name: name.to_owned(), version: version.to_owned() };
    recent.then_some(()).ok_or_else(too_old)
}

/// Refuses the connected server if it is too old, takes too little or has no JetStream.
pub(super) async fn check(connection: &Connection) -> Result<(), ConnectError> {
    let server = connection.client.server_info();
    check_version(&server.server_name, &server.version)?;
    let wanted = Envelope::MAX_BYTES + MAX_HEADER_BYTES;
    if server.max_payload < wanted {
        return Err(ConnectError::PayloadTooSmall { wanted, found: server.max_payload });
    }
    connection.api::<Account>(ACCOUNT_INFO, &()).await.map(drop).map_err(unheard)
}

/// Tells a server without JetStream, where nobody listens to its API.
pub(super) fn unheard(error: ApiError) -> ConnectError {
    match error {
        ApiError::Failed(failed) if failed.kind() == RequestErrorKind::NoResponders => {
            ConnectError::Disabled
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        for version in ["2.15.1", "2.15.10", "2.16.0", "3.0.0", "v2.15.1", "2.16.0-RC.1"] {
            assert!(check_version("n", version).is_ok(), "{version}");
        }
        for version in ["2.9.10", "2.15.0", "2.14.99", "1.99.99", "2.15.1-RC.1", "2.15", "", "x"] {
            assert!(check_version("n", version).is_err(), "{version}");
        }
    }
}
