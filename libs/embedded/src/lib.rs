//! Every port in one process, durable in one data directory.
//!
//! One SQLite file holds the log, its indexes and the CRLs. One thread writes: whatever waits goes into one transaction
//! and one fsync, and nothing is acknowledged before it. Each message carries a hash over itself and the one before, and
//! the `head` file remembers the last of them, so that lost or changed messages are noticed.

mod backup;
mod batch;
mod chain;
mod commit_delay;
mod consumer;
mod counters;
mod crls;
mod error;
mod feed;
mod fingerprints;
mod generations;
mod head;
mod index;
mod listing;
mod lock;
mod marks;
mod nonces;
mod open;
mod positions;
mod prepared;
mod prune;
mod queries;
mod read_only;
mod readers;
mod rebuilding;
mod recent;
mod request;
mod schema;
mod shared;
mod store;
mod tail;
mod verify;
mod views;
mod writer;

pub use backup::BackupError;
pub use counters::Counters;
pub use error::{Damage, OpenError, WriteError};
pub use nonces::MemoryNonces;
pub use open::Options;
pub use read_only::ReadOnly;
pub use store::Embedded;
pub use verify::Verified;
