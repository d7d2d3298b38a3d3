//! Where a message lives: its stream, its subject and its place in the stream.

use std::{fmt, str::FromStr};

use domain::{AccountId, ExternalKeyId, IssuerId, KeyHash, OrderId, PreAuthorizationId, Serial};
use serde::{Deserialize, Serialize};

/// A stream: a part of the log with its own sequence, retention and consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Accounts, kept for ever.
    Accounts,
    /// Administration, kept for ever.
    Administration,
    /// One shard of the orders, kept as long as an order can live and a while longer.
    Orders(u8),
    /// Serials and certificates, kept for ever.
    Ledger,
    /// Revocations and what else a CRL is made from, kept for ever.
    Revocations,
}

impl Stream {
    /// Every stream of a log with so many order shards.
    pub fn all(order_shards: u8) -> Vec<Self> {
        let mut streams =
            vec![Self::Accounts, Self::Administration, Self::Ledger, Self::Revocations];
        streams.extend(Self::orders(order_shards));
        streams
    }

    /// The order streams of a log with so many shards.
    pub fn orders(order_shards: u8) -> Vec<Self> {
        (0..order_shards).map(Self::Orders).collect()
    }

    /// The first token of the stream's subjects.
    fn prefix(self) -> &'static str {
        match self {
            Self::Accounts => "account",
            Self::Administration => "administration",
            Self::Orders(_) => "order",
            Self::Ledger => "ledger",
            Self::Revocations => "revocation",
        }
    }
}

/// The stream's name: `accounts`, `administration`, `orders-00`, `ledger`, `revocations`.
impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounts => f.write_str("accounts"),
            Self::Administration => f.write_str("administration"),
            Self::Orders(shard) => write!(f, "orders-{shard:02}"),
            Self::Ledger => f.write_str("ledger"),
            Self::Revocations => f.write_str("revocations"),
        }
    }
}

impl FromStr for Stream {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "accounts" => Ok(Self::Accounts),
            "administration" => Ok(Self::Administration),
            "ledger" => Ok(Self::Ledger),
            "revocations" => Ok(Self::Revocations),
            _ => match text.strip_prefix("orders-").map(|shard| (shard.len(), shard.parse())) {
                Some((2, Ok(shard))) => Ok(Self::Orders(shard)),
                _ => Err(InvalidSubject),
            },
        }
    }
}

/// A place in a stream: 1 for its first message; 0 stands for "nothing".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first message.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the subjects of keys for external accounts begin with.
const EXTERNAL_KEY: &str = "administration.external-key.";

/// What the subjects of pre-authorizations begin with.
const PRE_AUTHORIZATION: &str = "administration.pre-authorization.";

/// The address of one aggregate, as dot-separated tokens: `order.05.<id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    stream: Stream,
    text: Box<str>,
}

/// The text is not a subject or a stream of ours.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a subject of the event log")]
pub struct InvalidSubject;

impl Subject {
    /// The longest subject.
    pub const MAX_BYTES: usize = 128;

    /// An account's subject.
    pub fn account(id: &AccountId) -> Self {
        Self::new(Stream::Accounts, format!("account.{id}"))
    }

    /// The subject of a key for external accounts.
    pub fn external_key(id: &ExternalKeyId) -> Self {
        Self::new(Stream::Administration, format!("{EXTERNAL_KEY}{id}"))
    }

    /// An order's subject, with its authorizations and challenges inside.
    pub fn order(id: &OrderId) -> Self {
        let shard = id.shard();
        Self::new(Stream::Orders(shard), format!("order.{shard:02}.{id}"))
    }

    /// A pre-authorization's subject.
    pub fn pre_authorization(id: &PreAuthorizationId) -> Self {
        Self::new(Stream::Administration, format!("{PRE_AUTHORIZATION}{id}"))
    }

    /// The subject where an account's pre-authorizations for an identifier are listed, by the SHA-256 over both.
    pub fn pre_authorization_listing(account_and_identifier: &[u8; 32]) -> Self {
        let hash = hex(account_and_identifier);
        Self::new(Stream::Administration, format!("administration.pre-authorizations.{hash}"))
    }

    /// The ledger's subject for a serial: one of 256 per issuer.
    pub fn ledger(issuer: &IssuerId, serial: &Serial) -> Self {
        Self::new(Stream::Ledger, format!("ledger.{issuer}.{:02x}", serial.shard()))
    }

    /// A revocation's subject.
    pub fn revocation(issuer: &IssuerId, serial: &Serial) -> Self {
        Self::new(Stream::Revocations, format!("revocation.{issuer}.{serial}"))
    }

    /// The subject of how an issuer's CRLs were divided; with the revocations, so that CRLs are made from one stream.
    pub fn crl_division(issuer: &IssuerId) -> Self {
        Self::new(Stream::Revocations, format!("revocation.{issuer}.division"))
    }

    /// A blocked key's subject.
    pub fn blocked_key(key: &KeyHash) -> Self {
        Self::new(Stream::Administration, format!("administration.blocked-key.{key}"))
    }

    /// The subject of the active certificate of a profile's identifiers, by the SHA-256 over both.
    pub fn active_certificate(identifiers: &[u8; 32]) -> Self {
        let hash = hex(identifiers);
        Self::new(Stream::Administration, format!("administration.active-certificate.{hash}"))
    }

    fn new(stream: Stream, text: String) -> Self {
        Self { stream, text: text.into() }
    }

    /// The stream that holds the subject.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// The subject's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The order this is the subject of.
    pub fn order_id(&self) -> Option<OrderId> {
        self.text.strip_prefix("order.")?.split_once('.')?.1.parse().ok()
    }

    /// The key for external accounts this is the subject of.
    pub fn external_key_id(&self) -> Option<ExternalKeyId> {
        self.text.strip_prefix(EXTERNAL_KEY)?.parse().ok()
    }

    /// The pre-authorization this is the subject of.
    pub fn pre_authorization_id(&self) -> Option<PreAuthorizationId> {
        self.text.strip_prefix(PRE_AUTHORIZATION)?.parse().ok()
    }

    /// The account this is the subject of.
    pub fn account_id(&self) -> Option<AccountId> {
        self.text.strip_prefix("account.")?.parse().ok()
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let token = |token: &str| {
            !token.is_empty()
                && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if text.len() > Self::MAX_BYTES || !text.split('.').all(token) {
            return Err(InvalidSubject);
        }
        let (prefix, rest) = text.split_once('.').ok_or(InvalidSubject)?;
        let fixed = [Stream::Accounts, Stream::Administration, Stream::Ledger, Stream::Revocations];
        let stream = match fixed.into_iter().find(|stream| stream.prefix() == prefix) {
            Some(stream) => stream,
            None if prefix == Stream::Orders(0).prefix() => {
                let id: OrderId = rest
                    .split_once('.')
                    .and_then(|(_, id)| id.parse().ok())
                    .ok_or(InvalidSubject)?;
                Stream::Orders(id.shard())
            }
            None => return Err(InvalidSubject),
        };
        Ok(Self::new(stream, text.to_owned()))
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orders_subject_survives_its_text_and_names_its_stream() {
        let id = OrderId::new(5, &[9; 16]);
        let subject = Subject::order(&id);
        assert_eq!(subject.as_str().parse(), Ok(subject.clone()));
        assert_eq!(subject.stream().to_string(), "orders-05");
        assert_eq!(subject.stream().to_string().parse(), Ok(subject.stream()));
        assert_eq!(subject.order_id(), Some(id));
    }

    #[test]
    fn a_pre_authorizations_subject_names_it_and_its_listings_does_not() {
        let id = PreAuthorizationId::from_random(&[9; 16]);
        let subject = Subject::pre_authorization(&id);
        assert_eq!(subject.as_str().parse(), Ok(subject.clone()));
        assert_eq!((subject.pre_authorization_id(), subject.order_id()), (Some(id), None));
        assert_eq!(Subject::pre_authorization_listing(&[9; 32]).pre_authorization_id(), None);
    }

    #[test]
    fn what_is_told_apart_by_a_hash_has_subjects_of_its_own() {
        for subject in [Subject::pre_authorization_listing, Subject::active_certificate] {
            assert_ne!(subject(&[9; 32]), subject(&[8; 32]));
            assert!(subject(&[9; 32]).as_str().ends_with(&"09".repeat(32)));
        }
    }

    #[test]
    fn every_stream_survives_its_name() {
        let streams = Stream::all(2);
        let names: Vec<String> = streams.iter().map(ToString::to_string).collect();
        let expected =
            ["accounts", "administration", "ledger", "revocations", "orders-00", "orders-01"];
        assert_eq!(names, expected);
        for (name, stream) in names.iter().zip(streams) {
            assert_eq!(name.parse(), Ok(stream));
        }
    }

    #[test]
    fn the_subject_of_an_order_begins_as_those_of_orders_do() {
        let text = Subject::order(&OrderId::new(5, &[9; 16])).to_string();
        let other = text.replacen("order", "other", 1);
        assert_eq!(other.parse::<Subject>(), Err(InvalidSubject));
    }

    #[test]
    fn texts_that_could_match_several_subjects_are_refused() {
        for text in ["order.>", "account.*", "account.", "", "other.x", "order.05.x", "account.a b"]
        {
            assert_eq!(text.parse::<Subject>(), Err(InvalidSubject), "{text}");
        }
    }
}
