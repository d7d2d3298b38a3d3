//! Revokes the certificate before, where a profile allows one active certificate per set of identifiers.

use domain::{
    Identifier, OrderId, ProfileName,
    certificate::{ActiveCertificate, CertificateActivated, IdentifierSet},
    order::{Order, Progress},
};
use eventstore::{Loaded, Sequence, Subject, execute};
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
    if !desk.settings.single_active.contains(profile) {
        return Ok(());
    }
    let Progress::Valid { issuer, serial, ledger_sequence, .. } = &order.state.progress else {
        return Ok(());
    };
    let aggregates = &desk.ports.aggregates;
    let signed = aggregates.signed_certificate(Sequence(*ledger_sequence), serial).await?;
    let issued = CertificateActivated {
        profile: profile.clone(),
        issuer: issuer.clone(),
        serial: serial.clone(),
        ledger_sequence: *ledger_sequence,
        not_after: signed.ok_or(IssuanceError::LostCertificate)?.not_after,
    };
    let subject = Subject::active_certificate(&set_hash(profile, &order.state.identifiers));
    let store = aggregates.store.as_ref();
    let activated =
        execute::<ActiveCertificate>(store, &subject, Loaded::default(), &issued, &context()).await;
    let state = activated.map_err(IssuanceError::of_execution)?.state;
    let superseded = state.to_revoke(&issued).filter(|superseded| superseded.not_after > now());
    let Some(superseded) = superseded.cloned() else { return Ok(()) };
    let CertificateActivated { issuer, serial, not_after, .. } = superseded;
    if desk.revoke_superseded(issuer, serial.clone(), not_after).await? {
        info!(%serial, "superseded certificate revoked");
    }
    Ok(())
}

/// The hash that stands for a profile's set of identifiers in the log.
fn set_hash(profile: &ProfileName, identifiers: &[Identifier]) -> [u8; 32] {
    let mut hash = Hash::new(&SHA256);
    hash.update(profile.as_str().as_bytes());
    hash.update(&[0]);
    hash.update(IdentifierSet::text(identifiers).as_bytes());
    let mut octets = [0; 32];
    octets.copy_from_slice(hash.finish().as_ref());
    octets
}
