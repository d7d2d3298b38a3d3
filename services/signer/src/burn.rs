//! Giving a serial up: nobody can tell whether it was signed, so it counts as issued and revoked.

use ca::journal::{AppendError as JournalError, Burning, Entry, Synced};
use domain::{
    certificate::{
        CertRevoked, Command as RevocationCommand, LedgerEvent, Revocation, RevocationReason,
        SerialBurned,
    },
    order::{Command, Rejection, ReservationBurned},
};
use eventstore::{ExecuteError, Loaded, StoreError, Stream, Subject, execute};
use tracing::warn;

use crate::{
    IssuanceError,
    desk::{Desk, context, now},
    issuance::OrderView,
};

/// Takes a serial back from its order and burns it. May run twice.
///
/// The order comes first: it decides whether a certificate of that serial is handed over, by a signer that was taken for
/// dead, and one that was is not revoked. The journal has to know the serial, so that a crash in between is made good.
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
    revoke(desk, burned).await?;
    let entry = Burning { serial, reason: reason.to_owned(), at: now() };
    match desk.journal(Entry::Burned(entry), Synced::Now).await {
        // What was signed by another key, or burned already, is not pending.
        Ok(()) | Err(IssuanceError::Journal(JournalError::NotReserved(_))) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn revoke(desk: &Desk, burned: SerialBurned) -> Result<(), IssuanceError> {
    let SerialBurned { issuer, serial, not_after } = burned;
    let subject = Subject::revocation(&issuer, &serial);
    let reason = RevocationReason::Superseded;
    let revoked = CertRevoked { issuer, serial, reason, at: now(), not_after };
    let command = RevocationCommand::Revoke(revoked);
    let store = desk.ports.aggregates.store.as_ref();
    match execute::<Revocation>(store, &subject, Loaded::default(), &command, &context()).await {
        Ok(decided) => {
            desk.positions.acknowledged(Stream::Revocations, decided.sequence);
            Ok(())
        }
        Err(ExecuteError::Rejected(_)) => Ok(()),
        Err(ExecuteError::Store(source)) => Err(IssuanceError::Store(source)),
        Err(ExecuteError::Decode(source)) => Err(IssuanceError::Decode(source)),
        Err(ExecuteError::TooLarge) => {
            Err(IssuanceError::Store(StoreError::unavailable("the event is too large")))
        }
    }
}
