//! Aggregates and messages for tests.

use std::path::Path;

use domain::{
    AccountId, Failure, FailureKind, IssuerId, OrderId, Serial, Timestamp,
    account::{AccountUpdated, Event as AccountEvent},
    certificate::{CertificateSigned, LedgerEvent},
    order::{Event as OrderEvent, IssuanceFailed, OrderPlaced},
};
use embedded::{Embedded, Options};
use eventstore::{
    AppendError, Context, Envelope, EventStore as _, Expected, MessageId, Sequence, Subject,
    contract::context,
};

pub(crate) fn open(dir: &Path) -> Embedded {
    Embedded::open(dir, &Options::default()).unwrap()
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

pub(crate) fn account(n: u8) -> AccountId {
    AccountId::from_hash(&[n; 32])
}

pub(crate) fn order(n: u8) -> OrderId {
    OrderId::new(n % 4, &[n; 16])
}

pub(crate) fn issuer() -> IssuerId {
    IssuerId::from_hash(&[7; 32])
}

pub(crate) fn serial(n: u8) -> Serial {
    Serial::from_random(&[n; 16])
}

/// An event of a typical size.
pub(crate) fn account_update(text: &str) -> Envelope {
    let contact = vec![format!("{text}{}", ".".repeat(400))];
    envelope(&[AccountEvent::AccountUpdated(AccountUpdated { contact })])
}

pub(crate) fn order_placed(n: u8, placed_at: Timestamp) -> Envelope {
    envelope(&[OrderEvent::OrderPlaced(OrderPlaced {
        id: order(n),
        profile: "default".parse().unwrap(),
        account: account(n % 3),
        identifiers: vec![],
        not_before: None,
        not_after: None,
        at: placed_at,
        expires_at: placed_at,
        authorizations: vec![],
    })])
}

pub(crate) fn order_failed(when: Timestamp) -> Envelope {
    let failure = Failure::new(FailureKind::Dns, &"d".repeat(300));
    envelope(&[OrderEvent::IssuanceFailed(IssuanceFailed { failure, at: when })])
}

pub(crate) fn certificate_signed(n: u8) -> Envelope {
    envelope(&[LedgerEvent::CertificateSigned(CertificateSigned {
        issuer: issuer(),
        serial: serial(n),
        order: Some(order(n)),
        account: Some(account(n % 3)),
        profile: Some("default".parse().unwrap()),
        certificate: "c".repeat(600),
        chain: vec![],
        alternates: vec![],
        not_after: at(90 * 86_400),
    })])
}

fn envelope<E: domain::DomainEvent>(events: &[E]) -> Envelope {
    let context: Context = context();
    Envelope::new(MessageId::random(), &context, events).unwrap()
}

pub(crate) async fn append(
    store: &Embedded,
    subject: &Subject,
    envelope: &Envelope,
) -> Result<Sequence, AppendError> {
    store.append(subject, Expected::Anything, envelope).await
}

/// Writes a log of so many orders, each with an account, a certificate and an end: 4 messages.
pub(crate) async fn write_log(store: &Embedded, orders: std::ops::Range<u8>) {
    for n in orders {
        let account = Subject::account(&account(n % 3));
        append(store, &account, &account_update(&n.to_string())).await.unwrap();
        let order = Subject::order(&order(n));
        append(store, &order, &order_placed(n, at(n.into()))).await.unwrap();
        let ledger = Subject::ledger(&issuer(), &serial(n));
        append(store, &ledger, &certificate_signed(n)).await.unwrap();
        append(store, &order, &order_failed(at(n.into()))).await.unwrap();
    }
}
