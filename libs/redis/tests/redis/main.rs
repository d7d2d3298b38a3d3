//! The adapter against real servers: every `redis-server` and `valkey-server` on the PATH, each test with its own.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test panics, and says on what")]

mod connecting;
mod contract;
mod eviction;
mod failover;
mod index;
mod late;
mod memory;
mod outage;
mod proxy;
mod restart;
mod rights;
mod server;

/// The profile whose nonces are used.
fn profile() -> domain::ProfileName {
    domain::ProfileName::default()
}
