//! What a stream holds at one place, and the message that it is.

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID, jetstream::message::StreamMessage};
use eventstore::{Envelope, Message, Sequence, StoreError};

use crate::names::Names;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What stands at a place of the log is no message. Whoever finds it has to tell an operator where it is.
#[derive(Debug, thiserror::Error)]
#[error("message {sequence} on {subject} cannot be read")]
struct Unreadable {
    sequence: u64,
    subject: String,
    source: Source,
}

/// What a stream holds at one place.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) subject: &'a str,
    pub(crate) sequence: u64,
    pub(crate) headers: Option<&'a HeaderMap>,
    pub(crate) payload: &'a [u8],
}

impl<'a> From<&'a StreamMessage> for Stored<'a> {
    fn from(message: &'a StreamMessage) -> Self {
        Self {
            subject: &message.subject,
            sequence: message.sequence,
            headers: Some(&message.headers),
            payload: &message.payload,
        }
    }
}

/// Puts a message together from what is stored; `None` for a message that somebody else published there by mistake,
/// which lacks the id that each of ours has. It cannot be deleted, and must not stop the messages after it.
pub(crate) fn decode(names: &Names, stored: Stored<'_>) -> Result<Option<Message>, StoreError> {
    match decode_own(names, &stored) {
        Ok(message) => Ok(Some(message)),
        Err(error) if stored.headers.and_then(|all| all.get(NATS_MESSAGE_ID)).is_none() => {
            let Stored { subject, sequence, .. } = stored;
            tracing::warn!(subject, sequence, %error, "a message that is not ours is passed over");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn decode_own(names: &Names, stored: &Stored<'_>) -> Result<Message, StoreError> {
    let unreadable = |source: Source| Unreadable {
        sequence: stored.sequence,
        subject: stored.subject.to_owned(),
        source,
    };
    let envelope = serde_json::from_slice::<Envelope>(stored.payload);
    let envelope = envelope.map_err(|error| StoreError::damaged(unreadable(error.into())))?;
    let subject = names.parse(stored.subject);
    let subject = subject.map_err(|error| StoreError::damaged(unreadable(error.into())))?;
    Ok(Message { subject, sequence: Sequence(stored.sequence), envelope })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_by_its_place() {
        let names = Names::new("certmill").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, "one-of-ours");
        let (subject, sequence) = ("certmill.order.03.nobody", 7);
        for payload in ["torn".as_bytes(), b"{}"] {
            let stored = Stored { subject, sequence, headers: Some(&headers), payload };
            let damage = decode(&names, stored).unwrap_err();
            let place = damage.source().unwrap();
            let told = "message 7 on certmill.order.03.nobody cannot be read";
            assert_eq!(place.to_string(), told);
            assert!(place.source().is_some());
        }
    }
}
