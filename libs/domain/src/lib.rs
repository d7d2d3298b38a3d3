//! The rules of the CA: accounts, orders and certificates as pure deciders.
//!
//! Nothing here does IO, reads a clock or draws a random number: time, ids and looked-up facts arrive inside commands.
//! Only events and what they contain can be serialized; states and commands never are.

pub mod account;
pub mod certificate;
mod decider;
mod evidence;
pub mod external_key;
mod failure;
mod id;
mod identifier;
mod key;
pub mod key_use;
mod name_pattern;
pub mod order;
mod timestamp;

pub use decider::{Aggregate, DomainEvent};
pub use evidence::{Evidence, Hop};
pub use failure::{Failure, FailureKind};
pub use id::{AccountId, ExternalKeyId, InvalidId, IssuerId, OrderId, ProfileName, Serial};
pub use identifier::{ChallengeType, DnsName, Identifier, InvalidDnsName};
pub use key::{AccountKey, SubjectPublicKey, Thumbprint};
pub use name_pattern::{InvalidNamePattern, NamePattern};
pub use timestamp::{InvalidTimestamp, Timestamp};
