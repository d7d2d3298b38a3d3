//! One certificate: reserve, journal, sign, record, each step durable before the next.
//!
//! What comes after the signature goes to the journal and to the log at once: neither has to be there before the other.

use std::{sync::Arc, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::{
    IssueError, LeafRequest, PlanError, PlannedCertificate, SignError, SubjectName,
    journal::{Entry, Issuance, Reservation, Synced},
};
use domain::{
    AccountId, Failure, FailureKind, Identifier, IssuerId, OrderId, ProfileName, Serial, Timestamp,
    certificate::{LedgerEvent, SerialBurned, SerialReserved},
    order::{CertificateReserved, Command, Finalized, IssuanceFailed, Order, Progress, State},
};
use eventstore::Sequence;
use readmodel::View;
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::warn;

use crate::{
    IssuanceError, burn,
    delivery::{deliver, wake},
    desk::{Desk, Taken, now},
    issuers::{Claim, Issuer},
    measure, reliance, resume, supersede,
};

/// How long an order of a profile that is not configured here waits: a new one is known to the api first, as the signer is
/// restarted last.
const PROFILE_PATIENCE: Duration = Duration::from_mins(10);

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

/// The rules of the order's profile at this moment are pinned in the bytes to sign: a later change of the configuration
/// cannot make two certificates of one reservation (Let's Encrypt, 15 June 2023).
fn plan(
    desk: &Desk,
    issuer: &Issuer,
    order: &State,
) -> Result<Result<PlannedCertificate, Failure>, IssuanceError> {
    let failed = |detail: &str| Ok(Err(Failure::new(FailureKind::ServerInternal, detail)));
    let Progress::Processing(finalized) = &order.progress else {
        return failed("the order is not being processed");
    };
    let Some(profile) = desk.settings.profiles.get(&order.profile) else {
        let is_known = desk.settings.disabled.contains(&order.profile);
        if !is_known && finalized.at.until(now()) < PROFILE_PATIENCE {
            return Err(IssuanceError::UnknownProfile(order.profile.clone()));
        }
        return failed("the order's profile is disabled or no longer configured");
    };
    let Ok(public_key) = BASE64_URL_SAFE_NO_PAD.decode(&finalized.public_key.0) else {
        return failed("the order's key cannot be read");
    };
    let names: Vec<SubjectName> = order.identifiers.iter().map(SubjectName::from).collect();
    if let Some(failure) = not_permitted(issuer, &names) {
        warn!(order = %order.id, failure = failure.detail, "certificate not planned");
        return Ok(Err(failure));
    }
    let serial = random_serial()?;
    let request = LeafRequest {
        names: &names,
        common_name: finalized.common_name.as_deref(),
        public_key: &public_key,
        not_before: order.not_before,
        not_after: order.not_after,
        asked_at: order.placed_at,
        now: now(),
        serial: &serial,
    };
    match ca::plan(&issuer.authority, profile, &request) {
        Ok(planned) => Ok(Ok(planned)),
        Err(error) => {
            warn!(order = %order.id, error = &error as &dyn std::error::Error, "certificate not planned");
            Ok(Err(plan_failure(&error)))
        }
    }
}

/// What is wrong with names that the issuer's own certificate forbids: nobody could verify theirs.
fn not_permitted(issuer: &Issuer, names: &[SubjectName]) -> Option<Failure> {
    let name = names.iter().find(|name| !issuer.authority.permits(name))?;
    let detail = format!("the issuer's certificate does not permit {name}");
    Some(Failure::new(FailureKind::RejectedIdentifier, &detail))
}

fn plan_failure(error: &PlanError) -> Failure {
    match error {
        PlanError::Names => Failure::new(FailureKind::RejectedIdentifier, &error.to_string()),
        PlanError::PublicKey(_) | PlanError::Validity | PlanError::BeyondIssuer { .. } => {
            Failure::new(FailureKind::Unauthorized, &error.to_string())
        }
        // Nothing a client can do, but its operator then knows whom to tell what.
        PlanError::IssuerNotValid | PlanError::AboveNotValid => {
            Failure::new(FailureKind::ServerInternal, &error.to_string())
        }
        PlanError::Build(_) | PlanError::Mismatch => {
            Failure::new(FailureKind::ServerInternal, "the certificate cannot be made")
        }
    }
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
    let der = issued.unwrap_or(Err(ca::IssueError::Unverified)).map_err(IssuanceError::Sign)?;
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

pub(crate) fn random_serial() -> Result<Serial, IssuanceError> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| IssuanceError::Random)?;
    Ok(Serial::from_random(&random))
}
