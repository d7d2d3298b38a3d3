//! The rules of the CA: accounts, orders and certificates as pure deciders.
//!
//! Nothing here does IO, reads a clock or draws a random number: time, ids and looked-up facts arrive inside commands.
//! Only events and what they contain can be serialized; states and commands never are.

pub mod account;
mod authorization;
pub mod certificate;
mod challenge_type;
mod crl_name;
mod decider;
mod evidence;
pub mod external_key;
mod failure;
mod id;
mod identifier;
mod identifier_policy;
mod key;
pub mod key_use;
mod name_pattern;
mod name_rule;
pub mod order;
pub mod pre_authorization;
mod timestamp;

pub use challenge_type::ChallengeType;
pub use crl_name::{CrlName, CrlShards, InvalidCrlName, InvalidCrlShards};
pub use decider::{Aggregate, DomainEvent};
pub use evidence::{CaaEvidence, Evidence, Handshake, Hop};
pub use failure::{Failure, FailureKind};
pub use id::{
    AccountId, ExternalKeyId, InvalidId, IssuerId, IssuerName, KeyFingerprint, KeyHash, OrderId,
    PreAuthorizationId, ProfileName, Serial,
};
pub use identifier::{
    DnsName, Identifier, IdentifierType, InvalidDnsName, InvalidIpAddress, IpAddress,
};
pub use identifier_policy::IdentifierPolicy;
pub use key::{AccountKey, SubjectPublicKey, Thumbprint};
pub use name_pattern::{InvalidNamePattern, NamePattern, Suffix};
pub use name_rule::{InvalidNameRule, NameRule};
pub use timestamp::{InvalidTimestamp, Timestamp};
