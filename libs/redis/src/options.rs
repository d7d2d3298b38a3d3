//! How long things are kept, and whom to trust.

use std::{fmt, path::PathBuf, time::Duration};

use acme::nonce::NonceLifetime;

use crate::Rights;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What distinguishes a log from every other one. It is the same log if either field is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogIdentity {
    /// When it was created.
    pub made_at: String,
    /// The Raft group that keeps it, if several servers do.
    pub group: Option<String>,
}

/// What can be chosen about a [`crate::RedisStore`].
#[derive(Clone)]
pub struct Options {
    /// The identity of the log that all this is about: a database with what belongs to another log is refused.
    pub log: LogIdentity,
    /// How long a nonce is good.
    pub nonce_lifetime: NonceLifetime,
    /// How long an account's view is kept after it was last written, or read for a request of its account.
    pub keep_account: Duration,
    /// How long an order's view is kept after the order has ended, by its outcome or its expiry; a pre-authorization's after
    /// its expiry.
    pub keep_order: Duration,
    /// How long an order is found by its account after it was placed: as long as the log keeps it.
    pub keep_order_entry: Duration,
    /// How long a certificate is found by its serial after its end: one CRL period, for those who revoke late.
    pub keep_certificate: Duration,
    /// How often it is looked whether the server is still one to use: its settings can be changed while it runs.
    pub check_every: Duration,
    /// What the user must be allowed to do; it is tried out whenever the server is looked at.
    pub rights: Rights,
    /// Is told of each command that was sent.
    pub observe: fn(&Asked),
    /// A PEM file of the CAs to trust for `rediss://`, instead of those of the system. It is read for each connection,
    /// since operators replace it before they replace the CAs.
    pub tls_roots: Option<PathBuf>,
}

/// A command that was sent to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The script or command, one of few.
    pub command: &'static str,
    /// How long the caller waited in all: for a connection, the answer, and a second try.
    pub took: Duration,
    /// Whether there was an answer.
    pub answered: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log: LogIdentity::default(),
            nonce_lifetime: NonceLifetime::default(),
            keep_account: DAY,
            keep_order: HOUR,
            keep_order_entry: 7 * DAY,
            keep_certificate: 7 * DAY,
            check_every: Duration::from_secs(30),
            rights: Rights::default(),
            observe: |_| {},
            tls_roots: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("log", &self.log)
            .field("nonce_lifetime", &self.nonce_lifetime)
            .field("keep_account", &self.keep_account)
            .field("keep_order", &self.keep_order)
            .field("keep_order_entry", &self.keep_order_entry)
            .field("keep_certificate", &self.keep_certificate)
            .field("check_every", &self.check_every)
            .field("rights", &self.rights)
            .field("tls_roots", &self.tls_roots)
            .finish()
    }
}
