//! Giving a serial up: nobody can tell whether it was signed, so it counts as issued and revoked.

use ca::journal::{AppendError as JournalError, Burning, Entry};
use domain::{
    Serial, Timestamp,
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

/// Records the serial as burned, revokes it, and frees the order it was reserved for. May run twice.
pub(crate) async fn burn(
    desk: &Desk,
    order: Option<OrderView>,
    (serial, not_after): (&Serial, Timestamp),
    reason: &str,
) -> Result<(), IssuanceError> {
    warn!(%serial, reason, "serial burned");
    let issuer = desk.authority.id().clone();
    let burned = SerialBurned { issuer: issuer.clone(), serial: serial.clone(), not_after };
    desk.record(LedgerEvent::SerialBurned(burned)).await?;
    revoke(desk, serial, not_after).await?;
    let entry = Burning { serial: serial.clone(), reason: reason.to_owned(), at: now() };
    match desk.journal(Entry::Burned(entry)).await {
        // Another signer's serial is not in this journal, and a burned one is burned.
        Ok(()) | Err(IssuanceError::Journal(JournalError::NotReserved(_))) => {}
        Err(error) => return Err(error),
    }
    let Some(order) = order else { return Ok(()) };
    let command = Command::Burn(ReservationBurned { issuer, serial: serial.clone() });
    match desk.command(order, &command).await {
        Ok(_) | Err(IssuanceError::Overtaken(Rejection::NotReserved)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn revoke(desk: &Desk, serial: &Serial, not_after: Timestamp) -> Result<(), IssuanceError> {
    let issuer = desk.authority.id();
    let command = RevocationCommand::Revoke(CertRevoked {
        issuer: issuer.clone(),
        serial: serial.clone(),
        reason: RevocationReason::Superseded,
        at: now(),
        not_after,
    });
    let subject = Subject::revocation(issuer, serial);
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
