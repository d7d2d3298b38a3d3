//! Orders by account, from the messages that placed them.

use domain::order::Event;
use eventstore::Message;
use readmodel::OrderEntry;

use super::IndexError;
use crate::Ports;

/// Writes the order that a message placed.
pub(super) async fn index(ports: &Ports, message: &Message) -> Result<u64, IndexError> {
    // Only an order's first message places it: the others are not decoded.
    let Some(first) = message.envelope.events.first() else { return Ok(0) };
    if !first.is("OrderPlaced") {
        return Ok(0);
    }
    let Event::OrderPlaced(placed) = first.decode().map_err(IndexError::Decode)? else {
        return Ok(0);
    };
    let entry = OrderEntry {
        order: placed.id,
        account: placed.account,
        placed_at: placed.at,
        sequence: message.sequence,
    };
    ports.aggregates.views.put_order_entry(&entry).await.map_err(IndexError::View)?;
    Ok(1)
}
