//! The indexes: certificates by serial, from the ledger, and orders by account, from the messages that placed them.

use domain::{certificate::LedgerEvent, order::Event};
use eventstore::{Message, Stream};
use readmodel::{CertificateEntry, OrderEntry, ReadModel, Unavailable};

use crate::ProjectError;

/// What the indexes get from some messages.
#[derive(Default)]
pub(crate) struct Entries {
    /// Certificates, by serial.
    certificates: Vec<CertificateEntry>,
    /// Orders, by account.
    orders: Vec<OrderEntry>,
}

impl Entries {
    /// Adds what a message stands for.
    pub(crate) fn add(&mut self, message: &Message) -> Result<(), ProjectError> {
        match message.subject.stream() {
            Stream::Ledger => self.certificates.extend(certificates(message)?),
            Stream::Orders(_) => self.orders.extend(order(message)?),
            Stream::Accounts | Stream::Administration | Stream::Revocations => {}
        }
        Ok(())
    }

    /// Writes all of them; they may be there already.
    pub(crate) async fn write(&self, views: &dyn ReadModel) -> Result<(), Unavailable> {
        views.put_certificates(&self.certificates).await?;
        views.put_order_entries(&self.orders).await
    }
}

fn certificates(message: &Message) -> Result<Vec<CertificateEntry>, ProjectError> {
    let events: Vec<LedgerEvent> =
        message.envelope.decode().map_err(ProjectError::unreadable(message))?;
    let entry = |event| match event {
        LedgerEvent::CertificateSigned(signed) => {
            Some(CertificateEntry::of(signed, message.sequence))
        }
        LedgerEvent::SerialReserved(_) | LedgerEvent::SerialBurned(_) => None,
    };
    Ok(events.into_iter().filter_map(entry).collect())
}

fn order(message: &Message) -> Result<Option<OrderEntry>, ProjectError> {
    // Only an order's first message places it: the others are not decoded.
    let Some(first) = message.envelope.events.first() else { return Ok(None) };
    if !first.is("OrderPlaced") {
        return Ok(None);
    }
    let Event::OrderPlaced(placed) = first.decode().map_err(ProjectError::unreadable(message))?
    else {
        return Ok(None);
    };
    Ok(Some(OrderEntry {
        order: placed.id,
        account: placed.account,
        placed_at: placed.at,
        sequence: message.sequence,
    }))
}
