//! Views, indexes and nonces on one Redis (7 or later) or Valkey (8 or later) primary.
//!
//! Redis forgets: a flush, a restart, or a failover to a replica that missed the last writes. So everything here belongs
//! to an *epoch* that ends when memory may have been lost: every script first checks, inside Redis, that the epoch it was
//! called for is the one of this server's memory. When it is not, older nonces are refused (whether they were spent is
//! forgotten) and older views are misses (a newer one may have been forgotten, and a status never steps back). Index
//! entries are facts and outlive epochs; what is lost is only that they are complete.

mod admission;
mod epoch;
mod exchange;
mod fault;
mod index;
mod key;
mod link;
mod nonces;
mod options;
mod orders;
mod recent;
mod rights;
mod script;
mod server;
mod stamp;
mod store;
mod views;

pub use options::{Asked, LogIdentity, Options};
pub use rights::Rights;
pub use server::ConnectError;
pub use store::RedisStore;
