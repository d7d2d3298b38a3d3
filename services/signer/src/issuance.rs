//! One certificate: reserve, journal, sign, record, each step durable before the next.
//!
//! What comes after the signature goes to the journal and to the log at once: neither has to be there before the other.

mod plan;

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::{
    IssueError, PlannedCertificate, SignError,
    journal::{Entry, Issuance, Reservation, Synced},
};
use domain::{
    AccountId, Failure, Identifier, IssuerId, OrderId, ProfileName, Serial, Timestamp,
    certificate::{LedgerEvent, SerialBurned, SerialReserved},
    order::{CertificateReserved, Command, Finalized, IssuanceFailed, Order, Progress, State},
};
use eventstore::Sequence;
use readmodel::View;
use tracing::warn;

use self::plan::plan;
pub(crate) use self::plan::random_serial;
use crate::{
    IssuanceError, burn,
    delivery::{deliver, wake},
    desk::{Desk, Taken, now},
    issuers::{Claim, Issuer},
    measure, reliance, resume, supersede,
};

/// An order and the last message folded into it.
pub(crate) type OrderView = View<State>;

/// What a certificate is for, beside the names and the key.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    /// The order; absent for the server's own certificate.
    pub(crate) order: Option<OrderId>,
    pub(crate) account: Option<AccountId>,
    pub(crate) profile: Option<ProfileName>,
    pub(crate) identifiers: Vec<Identifier>,
}

/// Does what is next for a finalized order, until it has its certificate or failed; may run any number of times.
pub(crate) async fn issue(
    taken: &Taken,
    order: &OrderId,
    at_least: Sequence,
) -> Result<(), IssuanceError> {
    let desk = taken.desk.as_ref();
    let Some(view) = desk.ports.aggregates.load_at_least::<Order>(order, at_least).await? else {
        warn!(%order, "a finalized order is gone from the log");
        return Ok(());
    };
    let overtaken = match advance(desk, view).await {
        Err(IssuanceError::Overtaken(rejection)) => rejection,
        Ok(()) => return supersede::supersede(desk, order).await,
        Err(error) => return Err(error),
    };
    // The view was stale, or another signer works on the order, which may be dead by the time the order comes again.
    match desk.ports.aggregates.fold::<Order>(order).await? {
        Some(order) if matches!(order.state.progress, Progress::Processing(_)) => {
            Err(IssuanceError::Overtaken(overtaken))
        }
        Some(_) | None => Ok(()),
    }
}

async fn advance(desk: &Desk, order: OrderView) -> Result<(), IssuanceError> {
    match &order.state.progress {
        Progress::Processing(Finalized { reservation: None, .. }) => start(desk, order).await,
        Progress::Processing(Finalized { reservation: Some(reservation), .. }) => {
            let reservation = reservation.clone();
            resume::resume(desk, order, &reservation).await
        }
        Progress::Open | Progress::Valid { .. } | Progress::Invalid { .. } => Ok(()),
    }
}

/// Takes a finalized order that has no serial yet.
pub(crate) async fn start(desk: &Desk, order: OrderView) -> Result<(), IssuanceError> {
    if let Some(failure) = reliance::lost(desk, &order.state).await? {
        return give_up(desk, order, failure).await;
    }
    let caa_since = desk.settings.caa_since(&order.state.profile, now());
    if let Some(since) = caa_since
        && order.state.is_caa_stale(since)
    {
        // A validator records what it sees, and that message comes to us: until then the order waits in processing.
        let command = Command::RequestCaaCheck { since };
        return desk.command(order, &command).await.map(drop);
    }
    let issuer = Arc::clone(desk.issuers.of(&order.state.profile));
    issuer.require_key()?;
    let planned = match plan(desk, &issuer, &order.state)? {
        Ok(planned) => planned,
        Err(failure) => return give_up(desk, order, failure).await,
    };
    let PlannedCertificate { serial, not_after, .. } = planned.clone();
    let claimed = Claim { issuer, serial, not_after };
    // If another signer claimed the order first, our serial was never signed and never will be.
    let order = claim(desk, order, &planned, (claimed.issuer.id(), caa_since)).await?;
    let place = (claimed.issuer.id(), &claimed.serial);
    write_reservation(desk, place, Some(&order.state.id), &planned.tbs).await?;
    finish(desk, order, claimed, planned.tbs).await
}

/// Puts the serial and the exact bytes to sign into the ledger, and has the order take the serial unless another signer
/// gave it one.
async fn claim(
    desk: &Desk,
    order: OrderView,
    planned: &PlannedCertificate,
    (issuer, caa_since): (&IssuerId, Option<Timestamp>),
) -> Result<OrderView, IssuanceError> {
    let reserved = reserved(issuer, &purpose(&order.state), planned);
    let (issuer, serial) = (issuer.clone(), planned.serial.clone());
    let command = move |sequence: Sequence| {
        let (issuer, serial) = (issuer.clone(), serial.clone());
        let reserved = CertificateReserved { issuer, serial, ledger_sequence: sequence.0 };
        Command::Reserve { reserved, caa_since }
    };
    let (_, claimed) = desk.record_then(reserved, order, command).await?;
    Ok(desk.ports.aggregates.write(claimed).await?)
}

async fn give_up(desk: &Desk, order: OrderView, failure: Failure) -> Result<(), IssuanceError> {
    let command = Command::RecordIssuanceFailure(IssuanceFailed { failure, at: now() });
    let order = desk.command(order, &command).await?;
    measure::failed(&order.state.profile, 1);
    wake(desk, &order).await;
    Ok(())
}

/// What the ledger keeps of a serial and the exact bytes to sign.
pub(crate) fn reserved(
    issuer: &IssuerId,
    purpose: &Purpose,
    planned: &PlannedCertificate,
) -> LedgerEvent {
    LedgerEvent::SerialReserved(SerialReserved {
        issuer: issuer.clone(),
        serial: planned.serial.clone(),
        order: purpose.order.clone(),
        account: purpose.account.clone(),
        profile: purpose.profile.clone(),
        identifiers: purpose.identifiers.clone(),
        tbs: BASE64_URL_SAFE_NO_PAD.encode(&planned.tbs),
        not_before: planned.not_before,
        not_after: planned.not_after,
    })
}

/// Puts what is about to be signed into the journal.
pub(crate) async fn write_reservation(
    desk: &Desk,
    (issuer, serial): (&IssuerId, &Serial),
    order: Option<&OrderId>,
    tbs: &[u8],
) -> Result<(), IssuanceError> {
    let reservation = Reservation {
        serial: serial.clone(),
        order: order.cloned(),
        issuer: issuer.clone(),
        tbs: tbs.to_vec(),
        at: now(),
    };
    desk.journal(Entry::Reserved(reservation), Synced::Now).await
}

/// Signs a journaled reservation and records the certificate.
pub(crate) async fn finish(
    desk: &Desk,
    order: OrderView,
    claim: Claim,
    tbs: Vec<u8>,
) -> Result<(), IssuanceError> {
    match sign(&claim.issuer, tbs).await {
        Ok(der) => {
            // A certificate that is in the ledger is not lost with the journal's last lines.
            let (journaled, delivered) = tokio::join!(
                write_issuance(desk, &claim.serial, &der, Synced::Later),
                deliver(desk, order, &claim, &der),
            );
            journaled.and(delivered)
        }
        // The same bytes are signed again when the token is back.
        Err(IssuanceError::Sign(error @ IssueError::Sign(SignError::TokenAway)))
            if claim.issuer.authority.key().is_deterministic() =>
        {
            Err(IssuanceError::Sign(error))
        }
        Err(IssuanceError::Sign(error)) => {
            let Claim { issuer, serial, not_after } = claim;
            let burned = SerialBurned { issuer: issuer.id().clone(), serial, not_after };
            burn::free(desk, order, burned, "the key did not sign").await?;
            Err(IssuanceError::Sign(error))
        }
        Err(error) => Err(error),
    }
}

/// Signs the bytes of a journaled reservation.
pub(crate) async fn sign(issuer: &Arc<Issuer>, tbs: Vec<u8>) -> Result<Vec<u8>, IssuanceError> {
    let started = std::time::Instant::now();
    let issued = issuer.sign(move |authority| authority.issue(&tbs)).await;
    let in_token = issuer.authority.key().is_in_token();
    let missing = if in_token { SignError::TokenAway } else { SignError::Failed };
    let der = issued.unwrap_or(Err(IssueError::Sign(missing))).map_err(IssuanceError::Sign)?;
    measure::signed("certificate", started);
    Ok(der)
}

/// Puts a certificate into the journal, which settles its reservation.
pub(crate) async fn write_issuance(
    desk: &Desk,
    serial: &Serial,
    der: &[u8],
    synced: Synced,
) -> Result<(), IssuanceError> {
    let issued = Issuance { serial: serial.clone(), der: der.to_vec(), at: now() };
    desk.journal(Entry::Issued(issued), synced).await
}

pub(crate) fn purpose(order: &State) -> Purpose {
    Purpose {
        order: Some(order.id.clone()),
        account: Some(order.account.clone()),
        profile: Some(order.profile.clone()),
        identifiers: order.identifiers.clone(),
    }
}
