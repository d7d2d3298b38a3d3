//! What each role may do in Redis: what an operator grants, and what a server tries out when it starts.

use std::collections::BTreeSet;

use redis_store::Rights;
use runtime::Role;

/// What somebody reads and writes in Redis.
pub(crate) struct RedisRights {
    /// The patterns of keys, without the prefix that all of ours have.
    keys: &'static [&'static str],
    /// The commands beside those of [`VALUES`].
    commands: &'static [&'static str],
}

const PREFIX: &str = "certmill:";
/// What every connection needs, and every call of a script.
const CONNECTION: &str = "+ping +hello +select +info +eval +evalsha +script|load";

/// What every script needs that reads and writes values.
const VALUES: [&str; 5] = ["hmget", "hset", "get", "getrange", "set"];

const API: RedisRights = RedisRights {
    keys: &[
        "epoch",
        "spent:*",
        "account:*",
        "order:*",
        "pre-authorization:*",
        "orders:*",
        "certificate:*",
        "complete:*",
        "crl:*",
    ],
    commands: &["setbit", "pexpire", "getex", "zrangebylex", "zrevrangebylex"],
};

const VALIDATOR: RedisRights =
    RedisRights { keys: &["epoch", "spent:*", "order:*", "pre-authorization:*"], commands: &[] };

const SIGNER: RedisRights = RedisRights {
    // Accounts and pre-authorizations: whether what an order relies on still holds.
    keys: &[
        "epoch",
        "spent:*",
        "account:*",
        "order:*",
        "pre-authorization:*",
        "certificate:*",
        "crl:*",
        "complete:*",
    ],
    commands: &[],
};

const PROJECTOR: RedisRights = RedisRights {
    keys: &[
        "epoch",
        "spent:*",
        "account:*",
        "order:*",
        "pre-authorization:*",
        "orders:*",
        "certificate:*",
        "complete:*",
    ],
    commands: &["zremrangebylex", "zadd", "pexpire"],
};

/// Those of the operator's commands, which nothing is tried out for: a command that is refused says so.
pub(crate) const OPERATOR: RedisRights = RedisRights {
    keys: &["*"],
    commands: &["pexpire", "zremrangebylex", "zadd", "scan", "type", "zscore", "unlink"],
};

impl RedisRights {
    /// Those of a role.
    pub(crate) fn of(role: Role) -> Self {
        match role {
            Role::Api => API,
            Role::Validator => VALIDATOR,
            Role::Signer => SIGNER,
            Role::Projector => PROJECTOR,
        }
    }

    /// The rules of an ACL that grant them and nothing else.
    pub(crate) fn rules(&self) -> String {
        let keys: String = self.keys.iter().map(|key| format!("~{PREFIX}{key} ")).collect();
        let commands: String = self.commands().map(|command| format!(" +{command}")).collect();
        format!("{keys}resetchannels -@all {CONNECTION}{commands}")
    }

    fn commands(&self) -> impl Iterator<Item = &'static str> {
        VALUES.iter().chain(self.commands).copied()
    }
}

/// What a process needs that plays some roles.
pub(crate) fn needed(roles: &BTreeSet<Role>) -> Rights {
    let rights: Vec<RedisRights> = roles.iter().copied().map(RedisRights::of).collect();
    Rights {
        commands: rights.iter().flat_map(RedisRights::commands).collect(),
        keys: rights.iter().flat_map(|of| of.keys).map(|key| format!("{PREFIX}{key}")).collect(),
    }
}
