//! Messages made ready for the writing thread by whoever appends them.

use eventstore::{AppendError, Envelope, Expected, NewMessage, Subject};

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
