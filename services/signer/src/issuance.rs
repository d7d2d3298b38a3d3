//! One certificate: reserve, journal, sign, record, each step durable before the next.
//!
//! What comes after the signature goes to the journal and to the log at once: neither has to be there before the other.

mod plan;
mod unordered;

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::{
    IssueError, PlannedCertificate, SignError,
    journal::{Entry, Issuance, Reservation, Synced},
};
use domain::{
    AccountId, Failure, Identifier, IssuerId, OrderId, ProfileName, Serial, Timestamp,
    certificate::{LedgerEvent, SerialReserved},
    order::{CertificateReserved, Command, Finalized, IssuanceFailed, Order, Progress, State},
};
use eventstore::Sequence;
use readmodel::View;
use tracing::warn;

use self::plan::plan;
pub(crate) use self::{plan::random_serial, unordered::issue_unordered};
use crate::{
    IssuanceError, burn,
    delivery::{deliver, wake},
    desk::{Desk, now},
    issuers::{Claim, Issuer},
    measure, reliance, resume, supersede,
};

/// An order and the last message folded into it.
pub(crate) type OrderView = View<State>;

/// What ledger and index say that a certificate is for; empty where no order asked for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purpose {
    pub(crate) order: Option<OrderId>,
    pub(crate) account: Option<AccountId>,
    pub(crate) profile: Option<ProfileName>,
    pub(crate) identifiers: Vec<Identifier>,
}

/// Does what is next for a finalized order, until it has its certificate or failed; may run any number of times, but in this
/// process in one task at a time.
pub(crate) async fn issue(
    desk: &Desk,
    order: &OrderId,
    at_least: Sequence,
) -> Result<(), IssuanceError> {
    let aggregates = &desk.ports.aggregates;
    let delivered = aggregates.load_delivered::<Order>(order, at_least, is_processing).await?;
    let Some(view) = delivered else {
        warn!(%order, "a finalized order is gone from the log");
        return Ok(());
    };
    let overtaken = match advance(desk, view).await {
        Err(IssuanceError::Overtaken(rejection)) => rejection,
        Ok(()) => return supersede::supersede(desk, order).await,
        Err(error) => return Err(error),
    };
    // The view was stale, or another signer works on the order, which may be dead by the time the order comes again.
    match aggregates.fold::<Order>(order).await? {
        Some(order) if is_processing(&order.state) => Err(IssuanceError::Overtaken(overtaken)),
        Some(_) | None => Ok(()),
    }
}

fn is_processing(order: &State) -> bool {
    matches!(order.progress, Progress::Processing(_))
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
    if let Some(failure) = reliance::failure(desk, &order.state).await? {
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
    let reserved = reserved(issuer.id(), purpose(&order.state), &planned);
    // If another signer reserved for the order first, our serial was never signed and never will be.
    let order = reserve(desk, order, reserved.clone(), caa_since).await?;
    write_reservation(desk, &reserved, &planned.tbs).await?;
    finish(desk, order, Claim::of(&issuer, &planned), planned.tbs).await
}

/// Puts the serial and the exact bytes to sign into the ledger, and has the order take the serial unless another signer
/// gave it one.
async fn reserve(
    desk: &Desk,
    order: OrderView,
    reserved: SerialReserved,
    caa_since: Option<Timestamp>,
) -> Result<OrderView, IssuanceError> {
    let (issuer, serial) = (reserved.issuer.clone(), reserved.serial.clone());
    let command = move |sequence: Sequence| {
        let (issuer, serial) = (issuer.clone(), serial.clone());
        let reserved = CertificateReserved { issuer, serial, ledger_sequence: sequence.0 };
        Command::Reserve { reserved, caa_since }
    };
    let recorded = desk.record_then(LedgerEvent::SerialReserved(reserved), order, command).await;
    let (_, decided) = recorded?;
    Ok(desk.ports.aggregates.write(decided).await?)
}

async fn give_up(desk: &Desk, order: OrderView, failure: Failure) -> Result<(), IssuanceError> {
    let command = Command::RecordIssuanceFailure(IssuanceFailed { failure, at: now() });
    let order = desk.command(order, &command).await?;
    measure::failed(&order.state.profile, 1);
    wake(desk, &order).await;
    Ok(())
}

/// What the ledger keeps of a serial and the exact bytes to sign.
fn reserved(issuer: &IssuerId, purpose: Purpose, planned: &PlannedCertificate) -> SerialReserved {
    let Purpose { order, account, profile, identifiers } = purpose;
    SerialReserved {
        issuer: issuer.clone(),
        serial: planned.serial.clone(),
        order,
        account,
        profile,
        identifiers,
        tbs: BASE64_URL_SAFE_NO_PAD.encode(&planned.tbs),
        not_before: planned.not_before,
        not_after: planned.not_after,
    }
}

/// Puts what is about to be signed into the journal.
pub(crate) async fn write_reservation(
    desk: &Desk,
    reserved: &SerialReserved,
    tbs: &[u8],
) -> Result<(), IssuanceError> {
    let reservation = Reservation {
        serial: reserved.serial.clone(),
        order: reserved.order.clone(),
        issuer: reserved.issuer.clone(),
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
    let der = match sign(&claim.issuer, tbs).await {
        Ok(der) => der,
        Err(error) => {
            let is_away = error == IssueError::Sign(SignError::TokenAway);
            // Where signatures are the same each time, the same bytes are signed again when the token is back.
            if !(is_away && claim.issuer.authority.key().is_deterministic()) {
                burn::free(desk, order, claim.burned(), "the key did not sign").await?;
            }
            return Err(IssuanceError::Sign(error));
        }
    };
    // A certificate that is in the ledger is not lost with the journal's last lines.
    let (journaled, delivered) = tokio::join!(
        write_issuance(desk, &claim.serial, &der, Synced::Later),
        deliver(desk, order, &claim, &der),
    );
    journaled.and(delivered)
}

/// Signs the bytes of a journaled reservation.
async fn sign(issuer: &Arc<Issuer>, tbs: Vec<u8>) -> Result<Vec<u8>, IssueError> {
    let started = std::time::Instant::now();
    let issued = issuer.sign(move |authority| authority.issue(&tbs)).await;
    let in_token = issuer.authority.key().is_in_token();
    let missing = if in_token { SignError::TokenAway } else { SignError::Failed };
    let der = issued.unwrap_or(Err(IssueError::Sign(missing)))?;
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
