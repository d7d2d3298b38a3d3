//! What is stored around events: who, when, on which request and as part of which trace.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use domain::{AccountId, DomainEvent, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Sequence, Subject, upcast::upcast};

/// A message of the log: one command's events with their envelope. Stored: fields are only ever added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Identifies the attempt to store this message, so that a lost acknowledgement can be resolved.
    pub id: MessageId,
    /// When the command was decided.
    pub at: Timestamp,
    /// Who gave the command.
    pub actor: Actor,
    /// The request that led to the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The W3C trace context of the command, so that one order is one trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What happened, in order; at least one event.
    pub events: Vec<StoredEvent>,
}

/// A message and its place in the log.
#[derive(Clone, Debug)]
pub struct Message {
    /// The aggregate it belongs to.
    pub subject: Subject,
    /// Its place in the subject's stream.
    pub sequence: Sequence,
    /// What it says.
    pub envelope: Envelope,
}

/// The identity of an attempt to store a message: 128 random bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(String);

/// Who gave a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Actor {
    /// An ACME account.
    Account {
        /// Which one.
        id: AccountId,
    },
    /// Whoever holds the key of a certificate (RFC 8555 §7.6).
    Certificate,
    /// A person or script with access to the server.
    Operator {
        /// As the operating system knows them.
        name: String,
    },
    /// A validator worker.
    Validator,
    /// A signer worker.
    Signer,
}

/// What a command knows about its cause.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who gives the command.
    pub actor: Actor,
    /// The request it comes from.
    pub request_id: Option<String>,
    /// The trace it is part of.
    pub traceparent: Option<String>,
    /// Now.
    pub at: Timestamp,
}

/// An event as stored: `{"type": …, "version": …, "data": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredEvent(Box<RawValue>);

/// A stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The type or version was written by a newer release; upgrade.
    #[error("event {kind} version {version} is not known to this release")]
    Unknown {
        /// The event's type.
        kind: String,
        /// The event's version.
        version: u16,
    },
    /// The event is not what its type and version promise.
    #[error("an event is malformed")]
    Malformed(#[source] serde_json::Error),
}

#[derive(Serialize)]
struct Versioned<'a, E> {
    version: u16,
    #[serde(flatten)]
    event: &'a E,
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    version: u16,
}

impl StoredEvent {
    /// Puts an event into its stored form, with the version written today.
    ///
    /// # Errors
    /// When the event cannot be expressed in JSON.
    pub fn encode<E: DomainEvent>(event: &E) -> Result<Self, serde_json::Error> {
        let kind = event.event_type();
        let version = E::TYPES.iter().find(|(name, _)| *name == kind).map_or(1, |(_, v)| *v);
        serde_json::value::to_raw_value(&Versioned { version, event }).map(Self)
    }

    /// The event's type and version.
    ///
    /// # Errors
    /// When the stored form has neither.
    pub fn kind(&self) -> Result<(String, u16), DecodeError> {
        let peek: Peek<'_> = serde_json::from_str(self.0.get()).map_err(DecodeError::Malformed)?;
        Ok((peek.kind.into_owned(), peek.version))
    }

    /// Whether the event is of a type, in whatever version.
    pub fn is(&self, kind: &str) -> bool {
        serde_json::from_str::<Peek<'_>>(self.0.get()).is_ok_and(|peek| peek.kind == kind)
    }

    /// Reads the event, brought up to today's version.
    ///
    /// # Errors
    /// When the event is of another aggregate, was written by a newer release, or is malformed.
    pub fn decode<E: DomainEvent>(&self) -> Result<E, DecodeError> {
        let peek: Peek<'_> = serde_json::from_str(self.0.get()).map_err(DecodeError::Malformed)?;
        let current = E::TYPES.iter().find(|(name, _)| *name == peek.kind).map(|(_, v)| *v);
        match current {
            Some(current) if current == peek.version => {
                serde_json::from_str(self.0.get()).map_err(DecodeError::Malformed)
            }
            Some(current) if current > peek.version => {
                let stored = serde_json::from_str(self.0.get()).map_err(DecodeError::Malformed)?;
                serde_json::from_value(upcast(stored)).map_err(DecodeError::Malformed)
            }
            Some(_) | None => {
                Err(DecodeError::Unknown { kind: peek.kind.into_owned(), version: peek.version })
            }
        }
    }

    /// The stored JSON.
    pub fn json(&self) -> &str {
        self.0.get()
    }
}

impl Envelope {
    /// The largest message stored: an order of 100 names with its CSR fits many times.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Wraps events.
    ///
    /// # Errors
    /// When an event cannot be expressed in JSON.
    pub fn new<E: DomainEvent>(
        id: MessageId,
        context: &Context,
        events: &[E],
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id,
            at: context.at,
            actor: context.actor.clone(),
            request_id: context.request_id.clone(),
            traceparent: context.traceparent.clone(),
            events: events.iter().map(StoredEvent::encode).collect::<Result<_, _>>()?,
        })
    }

    /// Reads all events of one aggregate type.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn decode<E: DomainEvent>(&self) -> Result<Vec<E>, DecodeError> {
        self.events.iter().map(StoredEvent::decode).collect()
    }

    /// The types of the events, for headers and filters.
    pub fn event_types(&self) -> Vec<String> {
        self.events.iter().filter_map(|event| event.kind().ok()).map(|(kind, _)| kind).collect()
    }
}

impl MessageId {
    /// Draws an id.
    ///
    /// # Panics
    /// Never in practice: only when the operating system has no random numbers.
    #[expect(clippy::expect_used, reason = "without randomness a CA must not go on")]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).expect("the operating system gives random numbers");
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { id } => write!(f, "account {id}"),
            Self::Certificate => f.write_str("holder of the certificate's key"),
            Self::Operator { name } => write!(f, "operator {name}"),
            Self::Validator => f.write_str("validator"),
            Self::Signer => f.write_str("signer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        account::{AccountUpdated, Event},
        order,
    };

    use super::*;

    #[test]
    fn an_event_survives_its_stored_form() {
        let event = Event::AccountUpdated(AccountUpdated { contact: vec!["mailto:a@b.c".into()] });
        let stored = StoredEvent::encode(&event).unwrap();
        assert_eq!(stored.kind().unwrap(), ("AccountUpdated".to_owned(), 1));
        assert_eq!(stored.decode::<Event>().unwrap(), event);
    }

    #[test]
    fn an_event_of_a_newer_release_is_refused_by_name() {
        let stored: StoredEvent =
            serde_json::from_str(r#"{"type":"AccountUpdated","version":9,"data":{}}"#).unwrap();
        let error = stored.decode::<Event>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "event AccountUpdated version 9 is not known to this release"
        );
    }

    #[test]
    fn an_event_of_an_older_release_is_brought_up_to_date() {
        let key = r#""token":"t","key_authorization":"t.k","account":"AAAAAAAAAAAAAAAAAAAAAA""#;
        let challenge = r#""authorization":0,"challenge":"dns-01","identifier":"#;
        let identifier = r#"{"type":"dns","value":"a.example"},"profile":"default""#;
        let data = format!("{{{challenge}{identifier},{key}}}");
        let old = format!(r#"{{"type":"ChallengeReady","version":1,"data":{data}}}"#);
        let stored: StoredEvent = serde_json::from_str(&old).unwrap();
        let order::Event::ChallengeReady(ready) = stored.decode().unwrap() else {
            panic!("another event")
        };
        assert_eq!((ready.wildcard, ready.round), (true, 1));
    }

    #[test]
    fn an_event_of_another_aggregate_is_refused() {
        let stored: StoredEvent =
            serde_json::from_str(r#"{"type":"OrderPlaced","version":1,"data":{}}"#).unwrap();
        assert!(matches!(stored.decode::<Event>(), Err(DecodeError::Unknown { .. })));
    }
}
