//! Certificates that no order asked for: the server's own, and those of OCSP responders.

use std::sync::Arc;

use ca::{PlannedCertificate, journal::Synced};
use domain::certificate::LedgerEvent;

use super::{Purpose, reserved, sign, write_issuance, write_reservation};
use crate::{
    IssuanceError, burn, delivery,
    desk::Desk,
    issuers::{Claim, Issuer},
};

/// Issues a planned certificate through ledger and journal, as for an order, and returns its DER.
pub(crate) async fn issue_unordered(
    desk: &Desk,
    issuer: &Arc<Issuer>,
    planned: &PlannedCertificate,
) -> Result<Vec<u8>, IssuanceError> {
    issuer.require_key()?;
    let reserved = reserved(issuer.id(), Purpose::default(), planned);
    desk.record(LedgerEvent::SerialReserved(reserved.clone())).await?;
    write_reservation(desk, &reserved, &planned.tbs).await?;
    let claim = Claim::of(issuer, planned);
    // Nobody asks for this certificate again: until the ledger has it, it is pending, and burned after a crash.
    let der = match sign(issuer, planned.tbs.clone()).await {
        Ok(der) => der,
        Err(error) => {
            burn::burn(desk, claim.burned(), "the key did not sign").await?;
            return Err(IssuanceError::Sign(error));
        }
    };
    delivery::record(desk, &claim, Purpose::default(), &der).await?;
    write_issuance(desk, &planned.serial, &der, Synced::Now).await?;
    Ok(der)
}
