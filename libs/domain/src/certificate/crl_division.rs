//! How an issuer's CRLs were ever divided: what certificates name has to be published as long as the issuer lives.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Aggregate, CrlShards, DomainEvent, IssuerId, Timestamp};

/// The aggregate of one issuer.
#[derive(Debug)]
pub enum CrlDivision {}

/// Every division that certificates of the issuer may name, the oldest first.
pub type Divisions = Vec<CrlDivided>;

/// An event of an issuer's CRLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum CrlDivisionEvent {
    /// From now on certificates may name the CRLs of a division.
    CrlDivided(CrlDivided),
}

/// From now on certificates may name the CRLs of a division. Stored: change it only by adding a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CrlDivided {
    /// The CA key that signs them.
    pub issuer: IssuerId,
    /// Into how many the revocations are divided.
    pub shards: CrlShards,
    /// What precedes a CRL's file name in certificates, without a slash at the end: each shard repeats its URL in
    /// issuingDistributionPoint.
    pub base_url: String,
    /// When.
    pub at: Timestamp,
}

impl DomainEvent for CrlDivisionEvent {
    const TYPES: &'static [(&'static str, u16)] = &[("CrlDivided", 1)];

    fn event_type(&self) -> &'static str {
        match self {
            Self::CrlDivided(_) => "CrlDivided",
        }
    }
}

/// The only command is to divide; what was done before changes nothing.
impl Aggregate for CrlDivision {
    type State = Divisions;
    type Command = CrlDivided;
    type Event = CrlDivisionEvent;
    type Rejection = Infallible;

    fn decide(
        state: Option<&Divisions>,
        divide: &CrlDivided,
    ) -> Result<Vec<CrlDivisionEvent>, Infallible> {
        let is_same = |known: &CrlDivided| {
            (known.shards, &known.base_url) == (divide.shards, &divide.base_url)
        };
        match state {
            Some(divisions) if divisions.iter().any(is_same) => Ok(vec![]),
            Some(_) | None => Ok(vec![CrlDivisionEvent::CrlDivided(divide.clone())]),
        }
    }

    fn evolve(state: Option<Divisions>, event: &CrlDivisionEvent) -> Option<Divisions> {
        let CrlDivisionEvent::CrlDivided(divided) = event;
        let mut divisions = state.unwrap_or_default();
        divisions.push(divided.clone());
        Some(divisions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_division_is_recorded_once_and_none_is_forgotten() {
        let divided = |shards: u16, base_url: &str, at| CrlDivided {
            issuer: IssuerId::from_hash(&[1; 32]),
            shards: shards.try_into().unwrap(),
            base_url: base_url.to_owned(),
            at: Timestamp::from_unix_seconds(at),
        };
        let commands = [
            divided(4, "http://a/crl", 1),
            divided(2, "http://a/crl", 2),
            divided(4, "http://a/crl", 3),
            divided(4, "http://b/crl", 4),
        ];
        let state = commands.iter().fold(None, |state, command| {
            let Ok(events) = CrlDivision::decide(state.as_ref(), command);
            CrlDivision::fold(state, &events)
        });
        let [first, second, _, last] = commands;
        assert_eq!(state, Some(vec![first, second, last]));
    }
}
