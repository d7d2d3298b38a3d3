//! Goes on where a crash left off. What the journal says decides: a certificate that may exist is never signed again with
//! a key whose signatures differ each time.

use std::{collections::BTreeSet, sync::Arc};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::journal::Entry;
use domain::{
    OrderId,
    certificate::{LedgerEvent, SerialReserved},
    order::{Finalized, Order, Progress, Reservation},
};
use eventstore::{Sequence, Stream};
use tracing::info;

use crate::{
    IssuanceError, OpenError, burn,
    desk::Desk,
    issuance::{self, OrderView, deliver, finish, write_reservation},
};

/// Finishes every reservation of the journal that is neither issued nor burned.
pub(crate) async fn resume_pending(desk: &Arc<Desk>) -> Result<(), OpenError> {
    for pending in desk.journal.pending() {
        info!(serial = %pending.serial, "finishing an interrupted issuance");
        let taken = pending.order.as_ref().and_then(|order| desk.take(order));
        let finished = match (&pending.order, &taken) {
            (Some(order), Some(taken)) => {
                issuance::issue(taken, order, Sequence::NONE).await.map_err(OpenError::Resume)?;
                desk.journal.pending().iter().all(|still| still.serial != pending.serial)
            }
            (Some(_), None) | (None, _) => false,
        };
        if !finished {
            // The order is gone or went on, or there never was one: nobody waits for this serial.
            let end = desk.authority.certificate().not_after();
            burn::burn(desk, None, (&pending.serial, end), "interrupted")
                .await
                .map_err(OpenError::Resume)?;
        }
    }
    Ok(())
}

/// Goes on with the serial that is reserved for an order.
pub(crate) async fn resume(
    desk: &Desk,
    order: OrderView,
    reservation: &Reservation,
) -> Result<(), IssuanceError> {
    let reserved = reserved(desk, reservation).await?;
    let place = (&reserved.serial, reserved.not_after);
    if reservation.issuer == *desk.authority.id() {
        let serials = BTreeSet::from([reservation.serial.clone()]);
        let journaled = desk.journal.find(&serials).map_err(IssuanceError::JournalRead)?;
        let deterministic = desk.authority.key().is_deterministic();
        match journaled.get(&reservation.serial) {
            Some(Entry::Issued(issued)) => return deliver(desk, order, place, &issued.der).await,
            Some(Entry::Reserved(reserved)) if deterministic => {
                return finish(desk, order, place, reserved.tbs.clone()).await;
            }
            None if deterministic => {
                let tbs = BASE64_URL_SAFE_NO_PAD
                    .decode(&reserved.tbs)
                    .map_err(|_| IssuanceError::LostReservation)?;
                write_reservation(desk, Some(&order.state.id), &reserved.serial, &tbs).await?;
                return finish(desk, order, place, tbs).await;
            }
            Some(Entry::Reserved(_) | Entry::Burned(_)) | None => {}
        }
    }
    let id = order.state.id.clone();
    burn::burn(desk, Some(order), place, "a signer ended between reserving and recording").await?;
    start_again(desk, &id).await
}

/// The order is free again; another serial is reserved at once.
async fn start_again(desk: &Desk, id: &OrderId) -> Result<(), IssuanceError> {
    match desk.ports.aggregates.fold::<Order>(id).await? {
        Some(order) => match &order.state.progress {
            Progress::Processing(Finalized { reservation: None, .. }) => {
                issuance::start(desk, order).await
            }
            Progress::Processing(_)
            | Progress::Open
            | Progress::Valid { .. }
            | Progress::Invalid { .. } => Ok(()),
        },
        None => Ok(()),
    }
}

/// What the ledger says about a reservation.
async fn reserved(desk: &Desk, reservation: &Reservation) -> Result<SerialReserved, IssuanceError> {
    let store = &desk.ports.aggregates.store;
    let message = store
        .message(Stream::Ledger, Sequence(reservation.ledger_sequence))
        .await
        .map_err(IssuanceError::Store)?
        .ok_or(IssuanceError::LostReservation)?;
    let events: Vec<LedgerEvent> = message.envelope.decode().map_err(IssuanceError::Decode)?;
    let found = events.into_iter().find_map(|event| match event {
        LedgerEvent::SerialReserved(reserved) if reserved.serial == reservation.serial => {
            Some(reserved)
        }
        LedgerEvent::SerialReserved(_)
        | LedgerEvent::CertificateSigned(_)
        | LedgerEvent::SerialBurned(_) => None,
    });
    found.ok_or(IssuanceError::LostReservation)
}
