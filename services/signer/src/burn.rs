//! Giving a serial up: nobody can tell whether it was signed, so it counts as issued and revoked.

use ca::journal::{AppendError as JournalError, Burning, Entry, Synced};
use domain::{
    certificate::{LedgerEvent, SerialBurned},
    order::{Command, Rejection, ReservationBurned},
};
use tracing::warn;

use crate::{
    IssuanceError,
    desk::{Desk, now},
    issuance::OrderView,
};

/// Takes a serial back from its order and burns it. May run twice.
///
/// The order comes first, because it decides: a signer that was taken for dead may have recorded a certificate with that serial,
/// which then is not revoked. The journal has to know the serial already, so that a crash in between is made good.
pub(crate) async fn free(
    desk: &Desk,
    order: OrderView,
    burned: SerialBurned,
    reason: &str,
) -> Result<(), IssuanceError> {
    let (issuer, serial) = (burned.issuer.clone(), burned.serial.clone());
    let command = Command::Burn(ReservationBurned { issuer, serial });
    match desk.command(order, &command).await {
        Ok(_) | Err(IssuanceError::Overtaken(Rejection::NotReserved)) => {}
        Err(error) => return Err(error),
    }
    burn(desk, burned, reason).await
}

/// Revokes a serial that no order has. May run twice.
pub(crate) async fn burn(
    desk: &Desk,
    burned: SerialBurned,
    reason: &str,
) -> Result<(), IssuanceError> {
    let serial = burned.serial.clone();
    warn!(%serial, reason, "serial burned");
    desk.record(LedgerEvent::SerialBurned(burned.clone())).await?;
    let SerialBurned { issuer, not_after, .. } = burned;
    desk.revoke_superseded(issuer, serial.clone(), not_after).await?;
    let entry = Burning { serial, reason: reason.to_owned(), at: now() };
    match desk.journal(Entry::Burned(entry), Synced::Now).await {
        // What was signed by another key, or burned already, is not pending.
        Ok(()) | Err(IssuanceError::Journal(JournalError::NotReserved(_))) => Ok(()),
        Err(error) => Err(error),
    }
}
