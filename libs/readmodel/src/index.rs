//! Indexes: what cannot be found by the subject it is stored under.

use std::{fmt, str::FromStr};

use domain::{
    AccountId, IssuerId, OrderId, ProfileName, Serial, Timestamp, certificate::CertificateSigned,
};
use eventstore::Sequence;
use serde::{Deserialize, Serialize};

/// The answer of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is there.
    Found(T),
    /// It is not there.
    Missing {
        /// Up to which message of the ledger the index was complete at that moment. Were it asked for separately, the index could
        /// lose its memory in between.
        complete_to: Sequence,
    },
}

/// A certificate in the index by serial; outlives its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateEntry {
    /// The CA key that signed.
    pub issuer: IssuerId,
    /// The serial.
    pub serial: Serial,
    /// The order it was issued for; absent for the CA's own server certificate.
    pub order: Option<OrderId>,
    /// The account that may revoke it.
    pub account: Option<AccountId>,
    /// The profile it was issued under.
    pub profile: Option<ProfileName>,
    /// Where the ledger holds it.
    pub ledger_sequence: Sequence,
    /// The end of its validity; the entry may go one CRL period later.
    pub not_after: Timestamp,
}

impl CertificateEntry {
    /// What the index keeps of a certificate that the ledger holds at a place.
    pub fn of(signed: CertificateSigned, ledger_sequence: Sequence) -> Self {
        let CertificateSigned { issuer, serial, order, account, profile, not_after, .. } = signed;
        Self { issuer, serial, order, account, profile, ledger_sequence, not_after }
    }
}

/// An order in the index by account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEntry {
    /// Which one.
    pub order: OrderId,
    /// Who placed it.
    pub account: AccountId,
    /// When.
    pub placed_at: Timestamp,
    /// The message that placed it, in the stream of the order's shard.
    pub sequence: Sequence,
}

/// Which of an account's orders are wanted.
#[derive(Clone, Debug)]
pub struct OrdersQuery<'a> {
    /// Whose orders.
    pub account: &'a AccountId,
    /// Which part of them.
    pub part: OrdersPart<'a>,
    /// How many at most.
    pub limit: usize,
    /// Over how many streams orders are spread.
    pub order_shards: u8,
}

/// A part of an account's orders.
#[derive(Clone, Copy, Debug)]
pub enum OrdersPart<'a> {
    /// The oldest.
    First,
    /// Those behind the end of the page before.
    After(&'a OrderCursor),
    /// The newest, in the opposite direction, without a page behind them.
    Newest,
}

/// Some orders of an account, and how complete the index was when they were read. Oldest first, but for [`OrdersPart::Newest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdersPage {
    /// The orders; some may be gone from the log.
    pub orders: Vec<OrderId>,
    /// Where the next page starts, if there may be one.
    pub next: Option<OrderCursor>,
    /// For each order stream, up to which message the index is complete.
    pub complete_to: Vec<Sequence>,
}

/// Where a page of orders ends, in words of the adapter that made it; safe in URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderCursor(Box<str>);

/// The text is not a place in a list of orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a list of orders")]
pub struct InvalidCursor;

impl OrderCursor {
    /// The longest cursor.
    pub const MAX_BYTES: usize = 64;

    /// The cursor's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let good = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(safe);
        if good { Ok(Self(text.into())) } else { Err(InvalidCursor) }
    }
}

impl fmt::Display for OrderCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_short_and_has_letters_digits_hyphens_and_underscores_only() {
        let longest = "a".repeat(OrderCursor::MAX_BYTES);
        for text in ["0", "aZ-_9", &longest] {
            assert_eq!(text.parse::<OrderCursor>().unwrap().to_string(), text);
        }
        let too_long = "a".repeat(OrderCursor::MAX_BYTES + 1);
        for text in ["", "a b", "a\n", "a+", "\u{e4}", &too_long] {
            assert!(text.parse::<OrderCursor>().is_err(), "{text}");
        }
    }
}
