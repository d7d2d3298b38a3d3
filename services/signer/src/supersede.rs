//! Revokes the certificate before, where a profile allows one active certificate per set of identifiers.

use domain::{
    Identifier, OrderId, ProfileName,
    certificate::{
        ActiveCertificate, CertRevoked, CertificateActivated, LedgerEvent, RevocationReason,
    },
    order::{Order, Progress},
};
use eventstore::{ExecuteError, Loaded, Sequence, StoreError, Stream, Subject, execute};
use ring::digest::{Context as Hash, SHA256};
use tracing::info;

use crate::{
    IssuanceError,
    desk::{Desk, context, now},
};

/// Makes an order's certificate the active one of its identifiers and revokes the one before. May run twice: what a crash
/// cut short is done again when the order is delivered again.
pub(crate) async fn supersede(desk: &Desk, order: &OrderId) -> Result<(), IssuanceError> {
    if desk.settings.single_active.is_empty() {
        return Ok(());
    }
    let Some(order) = desk.ports.aggregates.load::<Order>(order).await? else { return Ok(()) };
    let profile = &order.state.profile;
    let (Progress::Valid { issuer, serial, ledger_sequence, .. }, true) =
        (&order.state.progress, desk.settings.single_active.contains(profile))
    else {
        return Ok(());
    };
    let store = desk.ports.aggregates.store.as_ref();
    let place = Sequence(*ledger_sequence);
    let message = store.message(Stream::Ledger, place).await.map_err(IssuanceError::Store)?;
    let message = message.ok_or(IssuanceError::LostReservation)?;
    let events: Vec<LedgerEvent> = message.envelope.decode().map_err(IssuanceError::Decode)?;
    let not_after = events.iter().find_map(|event| match event {
        LedgerEvent::CertificateSigned(signed) if signed.serial == *serial => {
            Some(signed.not_after)
        }
        LedgerEvent::CertificateSigned(_)
        | LedgerEvent::SerialReserved(_)
        | LedgerEvent::SerialBurned(_) => None,
    });
    let issued = CertificateActivated {
        profile: profile.clone(),
        issuer: issuer.clone(),
        serial: serial.clone(),
        ledger_sequence: *ledger_sequence,
        not_after: not_after.ok_or(IssuanceError::LostReservation)?,
    };
    let subject = Subject::active_certificate(&set_hash(profile, &order.state.identifiers));
    let activated =
        execute::<ActiveCertificate>(store, &subject, Loaded::default(), &issued, &context()).await;
    let state = activated.map_err(failed)?.state;
    match state.to_revoke(&issued) {
        Some(superseded) if superseded.not_after > now() => revoke(desk, superseded).await,
        Some(_) | None => Ok(()),
    }
}

async fn revoke(desk: &Desk, superseded: &CertificateActivated) -> Result<(), IssuanceError> {
    let revoked = CertRevoked {
        issuer: superseded.issuer.clone(),
        serial: superseded.serial.clone(),
        reason: RevocationReason::Superseded,
        at: now(),
        not_after: superseded.not_after,
    };
    match desk.ports.aggregates.revoke(revoked, None, &context()).await {
        Ok(decided) => {
            desk.positions.acknowledged(Stream::Revocations, decided.sequence);
            info!(serial = %superseded.serial, "superseded certificate revoked");
            Ok(())
        }
        Err(ExecuteError::Rejected(_)) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn failed<R: std::error::Error>(error: ExecuteError<R>) -> IssuanceError {
    match error {
        ExecuteError::Store(source) => IssuanceError::Store(source),
        ExecuteError::Decode(source) => IssuanceError::Decode(source),
        ExecuteError::Rejected(_) | ExecuteError::TooLarge => {
            IssuanceError::Store(StoreError::unavailable("the event is refused or too large"))
        }
    }
}

/// Names the set whatever the order or the spelling of the identifiers. No text of an identifier has a zero octet.
fn set_hash(profile: &ProfileName, identifiers: &[Identifier]) -> [u8; 32] {
    let mut names: Vec<String> = identifiers.iter().map(Identifier::canonical).collect();
    names.sort();
    let mut hash = Hash::new(&SHA256);
    hash.update(profile.as_str().as_bytes());
    for name in names {
        hash.update(&[0]);
        hash.update(name.as_bytes());
    }
    let mut octets = [0; 32];
    octets.copy_from_slice(hash.finish().as_ref());
    octets
}
