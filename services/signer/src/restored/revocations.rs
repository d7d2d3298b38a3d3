//! Revocations that the log lost and the last CRLs list: a certificate that clients know as revoked stays revoked.

use domain::{
    CrlName, Serial, Timestamp,
    certificate::{CertRevoked, RevocationReason},
};
use tracing::warn;
use x509_parser::{
    prelude::FromDer as _,
    revocation_list::{CertificateRevocationList, RevokedCertificate},
};

use crate::{IssuanceError, desk::Desk, files};

/// Puts back what any CRL of the signer's disk lists and the log does not.
pub(super) async fn put_back(desk: &Desk) -> Result<(), IssuanceError> {
    for issuer in desk.issuers.all() {
        // It lists all revocations, however they are divided beside it.
        let name = CrlName::whole(issuer.id().clone());
        let path = desk.settings.crl_file(&name);
        let Some(der) = files::read(&path).map_err(IssuanceError::LastCrl)? else { continue };
        // The end of the certificate may be unknown, and is not after its issuer's.
        let not_after = issuer.authority.certificate().not_after();
        for revoked in listed(&der, &name, not_after) {
            let serial = revoked.serial.clone();
            if desk.revoke(revoked).await? {
                warn!(%serial, "a revocation that the log had lost is in it again");
            }
        }
    }
    Ok(())
}

/// What a CRL lists; nothing if it is damaged, which the publisher tells of.
fn listed(der: &[u8], name: &CrlName, not_after: Timestamp) -> Vec<CertRevoked> {
    let Ok((_, crl)) = CertificateRevocationList::from_der(der) else { return Vec::new() };
    let revoked = |entry: &RevokedCertificate<'_>| {
        Some(CertRevoked {
            issuer: name.issuer().clone(),
            serial: Serial::from_octets(entry.raw_serial()).ok()?,
            reason: reason(entry),
            at: Timestamp::from_unix_seconds(entry.revocation_date.timestamp()),
            not_after,
        })
    };
    crl.iter_revoked_certificates().filter_map(revoked).collect()
}

fn reason(entry: &RevokedCertificate<'_>) -> RevocationReason {
    let code = entry.reason_code().map_or(0, |(_, code)| code.0);
    let known = RevocationReason::ALL.into_iter().find(|reason| reason.code() == code);
    known.unwrap_or(RevocationReason::Unspecified)
}
