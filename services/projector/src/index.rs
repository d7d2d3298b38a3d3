//! The indexes: certificates by serial, from the ledger, and orders by account, from the messages that placed them.

use domain::{certificate::LedgerEvent, order::Event};
use eventstore::{Message, Stream};
use readmodel::{CertificateEntry, OrderEntry};

use crate::{Ports, ProjectError};

/// What an index gets.
pub(crate) enum Entry {
    /// A certificate, by serial.
    Certificate(CertificateEntry),
    /// An order, by account.
    Order(OrderEntry),
}

/// What a message adds to the indexes.
pub(crate) fn entries(message: &Message) -> Result<Vec<Entry>, ProjectError> {
    match message.subject.stream() {
        Stream::Ledger => certificates(message),
        Stream::Orders(_) => Ok(order(message)?.into_iter().collect()),
        Stream::Accounts | Stream::Administration | Stream::Revocations => Ok(vec![]),
    }
}

fn certificates(message: &Message) -> Result<Vec<Entry>, ProjectError> {
    let events: Vec<LedgerEvent> =
        message.envelope.decode().map_err(ProjectError::unreadable(message))?;
    let entry = |event| match event {
        LedgerEvent::CertificateSigned(signed) => {
            Some(Entry::Certificate(CertificateEntry::of(signed, message.sequence)))
        }
        LedgerEvent::SerialReserved(_) | LedgerEvent::SerialBurned(_) => None,
    };
    Ok(events.into_iter().filter_map(entry).collect())
}

fn order(message: &Message) -> Result<Option<Entry>, ProjectError> {
    // Only an order's first message places it: the others are not decoded.
    let Some(first) = message.envelope.events.first() else { return Ok(None) };
    if !first.is("OrderPlaced") {
        return Ok(None);
    }
    let Event::OrderPlaced(placed) = first.decode().map_err(ProjectError::unreadable(message))?
    else {
        return Ok(None);
    };
    Ok(Some(Entry::Order(OrderEntry {
        order: placed.id,
        account: placed.account,
        placed_at: placed.at,
        sequence: message.sequence,
    })))
}

impl Entry {
    /// Writes the entry; it may be there already.
    pub(crate) async fn write(&self, ports: &Ports) -> Result<(), ProjectError> {
        let views = &ports.aggregates.views;
        match self {
            Self::Certificate(entry) => views.put_certificate(entry).await,
            Self::Order(entry) => views.put_order_entry(entry).await,
        }
        .map_err(ProjectError::View)
    }
}
