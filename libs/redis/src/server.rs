//! What a server must be before anything is entrusted to it.

use std::{io, path::PathBuf, sync::Arc};

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Scripts that only run on a primary, and the commands they use, came with this version.
const OLDEST_MAJOR: u32 = 7;

/// The server cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL or the certificates cannot be read; change the configuration.
    #[error("the redis url or its tls roots are not valid")]
    Configuration(#[source] RedisError),
    /// The file of who signs the server's certificate cannot be read.
    #[error("the redis tls roots cannot be read: {} must be a PEM file this user can read", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// The server is out of reach, refuses the login, is still loading, or takes no writes; try again later.
    #[error("redis cannot be reached")]
    Unreachable(#[source] RedisError),
    /// The user may not do all that is needed.
    #[error(
        "the redis user lacks {missing}: grant it what `certmill ca nats-permissions --redis` prints for the role"
    )]
    Forbidden {
        /// What is missing, as rules of an ACL.
        missing: String,
    },
    /// The server is too old.
    #[error("redis {version} is too old: redis 7 or valkey 8 is needed")]
    TooOld {
        /// What it says it is.
        version: String,
    },
    /// The server is part of a Redis Cluster, where one script cannot reach all it needs.
    #[error(
        "redis cluster mode is not supported: use one primary, with sentinel or a managed failover"
    )]
    Cluster,
    /// The server is a replica.
    #[error("the redis server is a replica: the url must lead to the primary")]
    Replica,
    /// The server throws keys away when memory is short, and with them the memory of spent nonces.
    #[error(
        "redis has maxmemory-policy {policy} and would forget spent nonces when memory is short: \
         set maxmemory-policy noeviction, or maxmemory 0"
    )]
    Evicts {
        /// The policy found.
        policy: String,
    },
    /// The database holds views and nonces of another log, whose accounts and orders would be taken for this one's.
    #[error(
        "this redis database belongs to another event log, made at {found} instead of {log}: give each fleet a database \
         of its own; where the log was made anew or restored, stop all processes and empty this one with FLUSHDB"
    )]
    OtherLog {
        /// When the log was made that the database belongs to.
        found: String,
        /// When ours was.
        log: String,
    },
    /// The server does not say what it must.
    #[error("the redis server does not report its {field}")]
    Silent {
        /// What is missing in its INFO.
        field: &'static str,
    },
}

impl ConnectError {
    /// Whether the failure may pass by itself: the server is out of reach, still loading, busy with somebody's script, or takes
    /// no writes while replicas are away, its memory is full or it cannot save.
    pub fn is_transient(&self) -> bool {
        let Self::Unreachable(error) = self else { return false };
        matches!(
            error.kind(),
            ErrorKind::Io
                | ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain)
        ) || matches!(error.code(), Some("NOREPLICAS" | "OOM" | "MISCONF" | "BUSY"))
    }
}

/// Checks what a server says about itself in reply to INFO.
pub(crate) fn check(info: &str) -> Result<(), ConnectError> {
    let field = |name: &'static str| {
        let mut lines = info.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim).ok_or(ConnectError::Silent { field: name })
    };
    // Valkey gives the Redis version it is compatible with under this name: 7.2.4.
    let version = field("redis_version")?;
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST_MAJOR) {
        return Err(ConnectError::TooOld { version: version.to_owned() });
    }
    if field("cluster_enabled")? != "0" {
        return Err(ConnectError::Cluster);
    }
    if field("role")? != "master" {
        return Err(ConnectError::Replica);
    }
    let policy = field("maxmemory_policy")?;
    if policy != "noeviction" && field("maxmemory")? != "0" {
        return Err(ConnectError::Evicts { policy: policy.to_owned() });
    }
    field("run_id")?;
    field("master_replid").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:aa\r\n# Memory\r\nmaxmemory:0\r\n\
        maxmemory_policy:noeviction\r\n# Replication\r\nrole:master\r\nmaster_replid:bb\r\n\
        # Cluster\r\ncluster_enabled:0\r\n";

    #[track_caller]
    fn check_with(changes: &[(&str, &str)], expected: &str) {
        let info = changes.iter().fold(GOOD.to_owned(), |info, (old, new)| {
            assert!(info.contains(old));
            info.replace(old, new)
        });
        let found = check(&info).map_err(|error| error.to_string());
        match expected {
            "" => assert_eq!(found, Ok(())),
            _ => assert!(found.unwrap_err().contains(expected)),
        }
    }

    #[test]
    fn a_primary_that_evicts_nothing_is_accepted() {
        check_with(&[], "");
        check_with(&[("7.0.15", "8.2.0")], "");
        check_with(&[("maxmemory:0", "maxmemory:1000")], "");
        check_with(&[("noeviction", "allkeys-lru")], "");
    }

    #[test]
    fn every_other_server_is_refused_with_a_reason() {
        check_with(&[("7.0.15", "6.2.14")], "redis 6.2.14 is too old");
        check_with(&[("7.0.15", "x")], "too old");
        check_with(&[("cluster_enabled:0", "cluster_enabled:1")], "cluster");
        check_with(&[("role:master", "role:slave")], "replica");
        let evicting = [("maxmemory:0", "maxmemory:1000"), ("noeviction", "volatile-ttl")];
        check_with(&evicting, "maxmemory-policy volatile-ttl");
        check_with(&[("maxmemory_policy:noeviction\r\n", "")], "maxmemory_policy");
        check_with(&[("run_id:aa", "")], "run_id");
        check_with(&[("master_replid:bb", "")], "master_replid");
    }
}
