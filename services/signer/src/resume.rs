//! Goes on where a crash left off. What the journal says decides: a certificate that may exist is never signed again with
//! a key whose signatures differ each time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::journal::{Entry, Reservation as Pending, Synced};
use domain::{
    OrderId, Serial,
    certificate::{LedgerEvent, SerialBurned, SerialReserved},
    order::{Finalized, Order, Progress, Reservation, State},
};
use eventstore::Sequence;
use tracing::info;

use crate::{
    IssuanceError, OpenError, burn,
    delivery::deliver,
    desk::{Desk, now},
    issuance::{self, OrderView, finish, write_issuance, write_reservation},
    issuers::Claim,
    reliance,
    restored::lost_reservation,
};

/// By how much the clock of whoever placed the order may have been ahead of ours. What is not found because it was more is
/// burned, or signed alike.
const CLOCKS_APART: Duration = Duration::from_hours(1);

/// Settles every reservation of the journal that is neither issued nor burned.
pub(crate) async fn resume_pending(desk: &Desk) -> Result<(), OpenError> {
    for pending in desk.journal.pending() {
        info!(serial = %pending.serial, "settling an interrupted issuance");
        while desk.journal.is_pending(&pending.serial) {
            match settle(desk, &pending).await {
                // Another signer went on with the order: look again.
                Ok(()) | Err(IssuanceError::Overtaken(_)) => {}
                Err(error) => return Err(OpenError::Resume(error)),
            }
        }
    }
    Ok(())
}

/// Does with a pending serial what its order says now, in the log: views may be older than the journal.
async fn settle(desk: &Desk, pending: &Pending) -> Result<(), IssuanceError> {
    let order = match &pending.order {
        Some(order) => desk.ports.aggregates.fold::<Order>(order).await?,
        None => None,
    };
    let Some(order) = order else { return burn_interrupted(desk, pending).await };
    match &order.state.progress {
        Progress::Processing(Finalized { reservation: Some(reservation), .. })
            if reservation.serial == pending.serial =>
        {
            let reservation = reservation.clone();
            resume(desk, order, &reservation).await
        }
        Progress::Valid { serial, ledger_sequence, .. } if *serial == pending.serial => {
            match recorded(desk, serial, Sequence(*ledger_sequence)).await? {
                Some(der) => write_issuance(desk, serial, &der, Synced::Now).await,
                None => burn_interrupted(desk, pending).await,
            }
        }
        Progress::Processing(_)
        | Progress::Open
        | Progress::Valid { .. }
        | Progress::Invalid { .. } => burn_interrupted(desk, pending).await,
    }
}

/// Burns a pending serial that nobody waits for: its order is gone or has another, it never had one, or the log lost the
/// certificate.
async fn burn_interrupted(desk: &Desk, pending: &Pending) -> Result<(), IssuanceError> {
    let issuer = desk.issuers.by_id(&pending.issuer).unwrap_or(desk.issuers.default());
    let burned = SerialBurned {
        issuer: pending.issuer.clone(),
        serial: pending.serial.clone(),
        not_after: issuer.authority.certificate().not_after(),
    };
    burn::burn(desk, burned, "interrupted").await
}

/// Goes on with the serial that is reserved for an order: delivers the certificate if it was signed, signs it if that cannot
/// make a second one, and burns the serial otherwise.
pub(crate) async fn resume(
    desk: &Desk,
    order: OrderView,
    reservation: &Reservation,
) -> Result<(), IssuanceError> {
    let reserved = match reserved(desk, reservation).await? {
        Some(reserved) => reserved,
        None => lost_reservation(desk, &order.state, reservation).await?,
    };
    // The profile may have another issuer by now: who reserved is who signs.
    let claim = desk.issuers.by_id(&reservation.issuer).map(|issuer| Claim {
        issuer: Arc::clone(issuer),
        serial: reserved.serial.clone(),
        not_after: reserved.not_after,
    });
    let tbs = match (journaled(desk, &order.state, &reservation.serial)?, &claim) {
        (Some(Entry::Issued(issued)), Some(claim)) => {
            return deliver(desk, order, claim, &issued.der).await;
        }
        (Some(Entry::Reserved(journaled)), _) => Some(journaled.tbs),
        (None, _) => Some(answer_for(desk, &reserved).await?),
        (Some(Entry::Issued(_) | Entry::Burned(_)), _) => None,
    };
    let signs_alike = |claim: &Claim| claim.issuer.authority.key().is_deterministic();
    if let (Some(tbs), Some(claim)) = (tbs, claim.filter(signs_alike))
        && !reserved.tbs.is_empty()
        && is_still_allowed(desk, &order.state).await?
    {
        return finish(desk, order, claim, tbs).await;
    }
    let id = order.state.id.clone();
    let SerialReserved { issuer, serial, not_after, .. } = reserved;
    let burned = SerialBurned { issuer, serial, not_after };
    burn::free(desk, order, burned, "a signer ended between reserving and recording").await?;
    start_again(desk, &id).await
}

/// The last entry of the journal about a serial of the order. The journal is as long as the CA is old, and many orders may come
/// here at once: only the files that the serial may be in are read.
fn journaled(desk: &Desk, order: &State, serial: &Serial) -> Result<Option<Entry>, IssuanceError> {
    let serials = BTreeSet::from([serial.clone()]);
    let since = order.placed_at.minus(CLOCKS_APART);
    let mut found = desk.journal.find(&serials, since).map_err(IssuanceError::JournalRead)?;
    Ok(found.remove(serial))
}

/// Whether what was not signed yet still may be. A look at CAA that grew old meanwhile has to be taken again, and that is
/// before a reservation.
async fn is_still_allowed(desk: &Desk, order: &State) -> Result<bool, IssuanceError> {
    let caa_since = desk.settings.caa_since(&order.profile, now());
    if caa_since.is_some_and(|since| order.is_caa_stale(since)) {
        return Ok(false);
    }
    Ok(reliance::failure(desk, order).await?.is_none())
}

/// Takes a reservation that another signer made, or that a crash kept out of the journal, into ours, and returns the bytes
/// to sign: from now on this signer settles it.
async fn answer_for(desk: &Desk, reserved: &SerialReserved) -> Result<Vec<u8>, IssuanceError> {
    let tbs = BASE64_URL_SAFE_NO_PAD.decode(&reserved.tbs);
    let tbs = tbs.map_err(|_| IssuanceError::UnreadableReservation)?;
    write_reservation(desk, reserved, &tbs).await?;
    Ok(tbs)
}

/// Reserves another serial for an order whose serial was burned, if it still waits for one.
async fn start_again(desk: &Desk, id: &OrderId) -> Result<(), IssuanceError> {
    let Some(order) = desk.ports.aggregates.fold::<Order>(id).await? else { return Ok(()) };
    match &order.state.progress {
        Progress::Processing(Finalized { reservation: None, .. }) => {
            issuance::start(desk, order).await
        }
        Progress::Processing(_)
        | Progress::Open
        | Progress::Valid { .. }
        | Progress::Invalid { .. } => Ok(()),
    }
}

/// What the ledger says about a reservation; `None` when it was lost.
async fn reserved(
    desk: &Desk,
    reservation: &Reservation,
) -> Result<Option<SerialReserved>, IssuanceError> {
    let events = desk.ledger(Sequence(reservation.ledger_sequence)).await?;
    let found = events.into_iter().find_map(|event| match event {
        LedgerEvent::SerialReserved(reserved) if reserved.serial == reservation.serial => {
            Some(reserved)
        }
        LedgerEvent::SerialReserved(_)
        | LedgerEvent::CertificateSigned(_)
        | LedgerEvent::SerialBurned(_) => None,
    });
    Ok(found)
}

/// The certificate that another signer put into the ledger; `None` when it was lost.
async fn recorded(
    desk: &Desk,
    serial: &Serial,
    place: Sequence,
) -> Result<Option<Vec<u8>>, IssuanceError> {
    let signed = desk.ports.aggregates.signed_certificate(place, serial).await?;
    Ok(signed.and_then(|signed| BASE64_URL_SAFE_NO_PAD.decode(&signed.certificate).ok()))
}
