//! The end of an issuance: the certificate in the ledger, on the order and in the index, and whoever waits told.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use domain::{
    certificate::{CertificateSigned, LedgerEvent},
    order::{CertificateIssued, Command, Progress},
};
use eventstore::{Sequence, Subject, Wake};
use readmodel::CertificateEntry;
use runtime::metrics::names;
use tracing::{info, warn};

use crate::{
    IssuanceError,
    desk::{Desk, now},
    issuance::{OrderView, Purpose, purpose},
    issuers::Claim,
    measure,
};

/// Puts the certificate into the ledger, says so on the order and in the index, then tells whoever waits.
pub(crate) async fn deliver(
    desk: &Desk,
    order: OrderView,
    claim: &Claim,
    der: &[u8],
) -> Result<(), IssuanceError> {
    let finalized_at = match &order.state.progress {
        Progress::Processing(finalized) => Some(finalized.at),
        Progress::Open | Progress::Valid { .. } | Progress::Invalid { .. } => None,
    };
    let purpose = purpose(&order.state);
    let signed = signed(claim, &purpose, der);
    let (issuer, own, at) = (claim.issuer.id().clone(), claim.serial.clone(), now());
    let command = move |sequence: Sequence| {
        let (issuer, serial) = (issuer.clone(), own.clone());
        let ledger_sequence = sequence.0;
        Command::RecordCertificate(CertificateIssued { issuer, serial, ledger_sequence, at })
    };
    let (sequence, issued) = desk.record_then(signed, order, command).await?;
    // Before the order's view: a client that sees the certificate may ask for its revocation.
    index(desk, claim, purpose, sequence).await?;
    let order = desk.ports.aggregates.write(issued).await?;
    info!(serial = %claim.serial, "certificate issued");
    let profile = &order.state.profile;
    if let Some(since) = finalized_at {
        metrics::histogram!(names::ISSUANCE_SECONDS, "profile" => profile.to_string())
            .record(since.until(now()).as_secs_f64());
    }
    measure::issued(profile, 1);
    wake(desk, &order).await;
    Ok(())
}

/// Puts a certificate that no order asked for into the ledger and the index by serial. Where that is out of reach the projector
/// completes it: another certificate in the place of this one would only be one more that it lacks.
pub(crate) async fn record(
    desk: &Desk,
    claim: &Claim,
    purpose: Purpose,
    der: &[u8],
) -> Result<(), IssuanceError> {
    let sequence = desk.record(signed(claim, &purpose, der)).await?;
    if let Err(error) = index(desk, claim, purpose, sequence).await {
        let error = &error as &dyn std::error::Error;
        warn!(serial = %claim.serial, error, "certificate not in the index yet");
    }
    Ok(())
}

/// What the ledger keeps of a certificate.
fn signed(claim: &Claim, purpose: &Purpose, der: &[u8]) -> LedgerEvent {
    let chains = claim.issuer.chains.of(purpose.profile.as_ref());
    LedgerEvent::CertificateSigned(CertificateSigned {
        issuer: claim.issuer.id().clone(),
        serial: claim.serial.clone(),
        order: purpose.order.clone(),
        account: purpose.account.clone(),
        profile: purpose.profile.clone(),
        certificate: BASE64_URL_SAFE_NO_PAD.encode(der),
        chain: chains.chain.clone(),
        alternates: chains.alternates.clone(),
        not_after: claim.not_after,
    })
}

/// Puts a certificate into the index by serial; the embedded one has it since the append.
async fn index(
    desk: &Desk,
    claim: &Claim,
    purpose: Purpose,
    ledger_sequence: Sequence,
) -> Result<(), IssuanceError> {
    let (issuer, serial) = (claim.issuer.id().clone(), claim.serial.clone());
    let Purpose { order, account, profile, .. } = purpose;
    let not_after = claim.not_after;
    let entry =
        CertificateEntry { issuer, serial, order, account, profile, ledger_sequence, not_after };
    desk.ports.aggregates.views.put_certificates(&[entry]).await.map_err(IssuanceError::View)
}

/// Tells whoever waits for the order.
pub(crate) async fn wake(desk: &Desk, order: &OrderView) {
    let subject = Subject::order(&order.state.id);
    desk.ports.wakes.publish(Wake { subject, sequence: order.sequence }).await;
}
