//! How a changing command reaches the log: a cluster's directly, an embedded one through the server that has it open.

mod client;
mod server;
mod socket;

use runtime::{Config, config::EventLogKind};
use serde::{Deserialize, Serialize};

use crate::{
    change::{self, Change, Done},
    failure::{Explain as _, Failure},
    operator,
    ports::{self, NO_ROLE, Patience, Ports},
};

pub(crate) use server::listen;

/// The longest request or answer, in bytes.
const MAX_MESSAGE_BYTES: u64 = 64 * 1024;

/// Users of roles may do less, and each adapter only says what was denied.
const WHO_MAY: &str = "Check that NATS and Redis answer, and run the command with the operator's user of each: \
                       `certmill ca nats-permissions` prints the permissions for NATS, and with --redis for Redis.";

/// What a command asks of the server.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    /// Who asks; only the server's own user and root can.
    operator: String,
    change: Change,
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done(Done),
    Failed(Failure),
}

/// Makes a change: through the running server where one has the log open, else by opening the log here.
///
/// # Errors
/// When the change is refused, or the log cannot be reached.
pub(crate) async fn apply(config: &Config, change: Change) -> Result<Done, Failure> {
    let request = Request { operator: operator::name(), change };
    match config.event_log.kind {
        EventLogKind::Jetstream => {}
        EventLogKind::Embedded => match client::ask(&config.data_dir, &request).await? {
            Some(Answer::Done(done)) => return Ok(done),
            Some(Answer::Failed(failure)) => return Err(failure),
            // Opening the log for writing would make one where there is none.
            None => drop(ports::open_to_read(&config.data_dir)?),
        },
    }
    let ports = Ports::open(config, &NO_ROLE, Patience::NONE)
        .await
        .while_doing("cannot run the command")?;
    let shards = config.event_log.order_shards;
    let done = change::make(request.change, &request.operator, &ports, shards).await;
    ports.close().await;
    match config.event_log.kind {
        EventLogKind::Jetstream => done.map_err(|failure| failure.advise_else(WHO_MAY)),
        EventLogKind::Embedded => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use embedded::Embedded;
    use eventstore::{Actor, EventStore as _, Sequence, Subject};
    use runtime::Process;

    use super::*;
    use crate::{fixtures, ports::LogAdapter};

    async fn served(config: &Config) -> (Ports, Process) {
        let ports = Ports::open(config, &NO_ROLE, Patience::NONE).await.unwrap();
        let LogAdapter::Embedded(embedded) = &ports.log else { panic!("not embedded") };
        fixtures::append(embedded, &["AccountCreated"]).await;
        let process = Process::new().unwrap();
        listen(config, &ports, process.listeners()).unwrap();
        (ports, process)
    }

    fn deactivation() -> Change {
        Change::DeactivateAccount { account: fixtures::account() }
    }

    #[tokio::test]
    async fn a_change_is_made_by_the_running_server_in_the_operators_name() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[]);
        let (ports, _process) = served(&config).await;
        let done = apply(&config, deactivation()).await.unwrap();
        assert_eq!(done, Done::AccountDeactivated { account: fixtures::account() });
        let subject = Subject::account(&fixtures::account());
        let messages = ports.store.read(&subject, Sequence::NONE).await.unwrap();
        let actor = &messages.last().unwrap().envelope.actor;
        assert_eq!(*actor, Actor::Operator { name: operator::name() });
    }

    #[tokio::test]
    async fn a_refusal_of_the_server_is_told_with_its_advice() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[]);
        let (_ports, _process) = served(&config).await;
        apply(&config, deactivation()).await.unwrap();
        let failure = apply(&config, deactivation()).await.unwrap_err().to_string();
        assert!(failure.contains("the account is deactivated"), "{failure}");
        assert!(failure.contains("certmill account list"), "{failure}");
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_works_however_long_its_path_is() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("d".repeat(120));
        let config = fixtures::config(&data_dir, &[]);
        let (_ports, _process) = served(&config).await;
        let mode = std::fs::metadata(socket::path(&data_dir)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        apply(&config, deactivation()).await.unwrap();
    }

    #[tokio::test]
    async fn without_a_server_the_change_is_made_here_also_beside_the_socket_of_a_killed_one() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[]);
        let log = fixtures::log(dir.path());
        fixtures::append(&log, &["AccountCreated"]).await;
        log.close().await;
        drop(log);
        drop(std::os::unix::net::UnixListener::bind(socket::path(dir.path())).unwrap());
        apply(&config, deactivation()).await.unwrap();
        let log = Embedded::open_read_only(dir.path()).unwrap();
        let subject = Subject::account(&fixtures::account());
        assert_eq!(log.read(&subject, Sequence::NONE).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_change_makes_no_log_where_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(&dir.path().join("elsewhere"), &[]);
        let failure = apply(&config, Change::Rebuild).await.unwrap_err().to_string();
        assert!(failure.contains("data_dir"), "{failure}");
        assert!(!config.data_dir.exists());
    }
}
