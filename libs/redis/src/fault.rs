//! What can go wrong inside; callers learn only that Redis is of no use to them right now.

use acme::NoncesUnavailable;
use readmodel::Unavailable;
use redis::RedisError;

use crate::ConnectError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("there is no connection to redis")]
    Connect(#[source] ConnectError),
    #[error("redis refused a command or broke the connection")]
    Command(#[source] RedisError),
    #[error("redis did not answer in time")]
    TimedOut,
    #[error("redis gave an unexpected answer")]
    Answer,
    #[error("redis lost its memory several times in a row")]
    Unsettled,
    #[error("a newer view may have been lost with the memory of redis")]
    MemoryLost,
    #[error("index entries may be lost: read the marker again and index on from there")]
    EntriesLost,
    #[error("a view cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    #[error("the system provides no random numbers")]
    Random,
    #[error("this minute's nonces are used up")]
    Exhausted,
}

impl From<Fault> for Unavailable {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::MemoryLost => Self::MemoryLost,
            fault => Self::OutOfReach(Box::new(fault)),
        }
    }
}

impl From<Fault> for NoncesUnavailable {
    fn from(fault: Fault) -> Self {
        Self::because(fault)
    }
}
