//! Messages made ready for the writing thread by whoever appends them.

use std::fmt;

use eventstore::{AppendError, Dependent, Envelope, Expected, NewMessage, Sequence, Subject};

use crate::{
    chain::Hash,
    index::{self, Entry},
};

/// A message to store, with everything that needs no transaction.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) subject: Subject,
    pub(crate) expected: Expected,
    pub(crate) envelope: Envelope,
    /// The envelope as stored.
    pub(crate) body: Vec<u8>,
    pub(crate) digest: Hash,
    pub(crate) entries: Vec<Entry>,
}

/// A message that names the place of another one, and so is made when that has its place.
pub(crate) enum Second {
    /// Not yet.
    Waiting(Dependent),
    /// The transaction has come so far.
    Made(Result<Box<Prepared>, AppendError>),
}

impl Prepared {
    pub(crate) fn new(message: NewMessage) -> Result<Self, AppendError> {
        let NewMessage { subject, expected, envelope } = message;
        let body = serde_json::to_vec(&envelope).map_err(AppendError::unavailable)?;
        if body.len() > Envelope::MAX_BYTES {
            return Err(AppendError::TooLarge);
        }
        let entries = index::entries(&subject, &envelope).map_err(AppendError::unavailable)?;
        let digest = Hash::of(&body);
        Ok(Self { subject, expected, envelope, body, digest, entries })
    }
}

impl Second {
    /// Makes the message once the first one's place is known.
    pub(crate) fn make(&mut self, first: Sequence) -> Option<&Prepared> {
        let gone = Err(AppendError::unavailable("the message was asked for twice"));
        if let Self::Waiting(dependent) = std::mem::replace(self, Self::Made(gone)) {
            *self = Self::Made(dependent(first).and_then(Prepared::new).map(Box::new));
        }
        match self {
            Self::Made(Ok(prepared)) => Some(prepared),
            Self::Made(Err(_)) | Self::Waiting(_) => None,
        }
    }
}

impl fmt::Debug for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting(_) => "Waiting",
            Self::Made(_) => "Made",
        })
    }
}
