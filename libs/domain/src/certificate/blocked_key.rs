//! A key that must not be certified any more, because a certificate for it was revoked for keyCompromise.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Aggregate, DomainEvent, IssuerId, KeyHash, Serial, Timestamp};

/// The aggregate of one blocked key.
#[derive(Debug)]
pub enum BlockedKey {}

/// An event of a blocked key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum BlockedKeyEvent {
    /// The key was blocked.
    KeyBlocked(KeyBlocked),
}

/// The key was blocked, for ever. Stored: change it only by adding a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyBlocked {
    /// Which key.
    pub key: KeyHash,
    /// The CA key that signed the certificate that was revoked.
    pub issuer: IssuerId,
    /// That certificate's serial.
    pub serial: Serial,
    /// When.
    pub at: Timestamp,
}

impl DomainEvent for BlockedKeyEvent {
    const TYPES: &'static [(&'static str, u16)] = &[("KeyBlocked", 1)];

    fn event_type(&self) -> &'static str {
        match self {
            Self::KeyBlocked(_) => "KeyBlocked",
        }
    }
}

/// The only command is to block; a key that is blocked stays so, for the first reason.
impl Aggregate for BlockedKey {
    type State = KeyBlocked;
    type Command = KeyBlocked;
    type Event = BlockedKeyEvent;
    type Rejection = Infallible;

    fn decide(
        state: Option<&KeyBlocked>,
        command: &KeyBlocked,
    ) -> Result<Vec<BlockedKeyEvent>, Infallible> {
        match state {
            None => Ok(vec![BlockedKeyEvent::KeyBlocked(command.clone())]),
            Some(_) => Ok(vec![]),
        }
    }

    fn evolve(state: Option<KeyBlocked>, event: &BlockedKeyEvent) -> Option<KeyBlocked> {
        let BlockedKeyEvent::KeyBlocked(blocked) = event;
        Some(state.unwrap_or_else(|| blocked.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(serial: u8) -> KeyBlocked {
        KeyBlocked {
            key: KeyHash::from_hash(&[1; 32]),
            issuer: IssuerId::from_hash(&[2; 32]),
            serial: Serial::from_random(&[serial; 16]),
            at: Timestamp::from_unix_seconds(1),
        }
    }

    #[test]
    fn a_key_is_blocked_once_and_keeps_its_first_certificate() {
        let events = BlockedKey::decide(None, &blocked(3)).unwrap();
        let state = BlockedKey::fold(None, &events);
        assert_eq!(BlockedKey::decide(state.as_ref(), &blocked(4)), Ok(vec![]));
        assert_eq!(state, Some(blocked(3)));
    }
}
