//! Certificate revocation lists (RFC 5280 §5).

use std::{collections::BTreeMap, time::Duration};

use domain::{
    CrlName, Serial, Timestamp,
    certificate::{CertRevoked, RevocationReason},
};
use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope,
    KeyIdMethod, RevokedCertParams, SerialNumber,
};
use x509_parser::{
    prelude::FromDer, revocation_list::CertificateRevocationList, x509::SubjectPublicKeyInfo,
};

use crate::{authority::Authority, ca_profile::rcgen_issuer};

/// What one CRL is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlPlan {
    /// Its number, above every number before.
    pub number: u64,
    /// When it is made.
    pub this_update: Timestamp,
    /// When the next one is there at the latest.
    pub next_update: Timestamp,
    /// The revocations it lists, by serial.
    pub entries: BTreeMap<Serial, CertRevoked>,
    /// The URLs by which certificates name it, where it lists a part of the revocations; none where it lists all.
    pub urls: Vec<String>,
}

/// Why a CRL was not made.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// The CRL could not be built or signed.
    #[error("the CRL cannot be built")]
    Build(#[source] rcgen::Error),
    /// The signature does not verify, which means faulty hardware or a fault of ours.
    #[error("the CRL that was signed does not verify")]
    Unverified,
}

impl CrlPlan {
    /// Chooses from all revocations those that a CRL of `authority` made `now` has to list: all but those of
    /// certificates that expired more than one `period` ago, so that each is on a CRL after its certificate's end.
    pub fn new<'a>(
        authority: &Authority,
        number: u64,
        now: Timestamp,
        period: Duration,
        revocations: impl IntoIterator<Item = &'a CertRevoked>,
    ) -> Self {
        let mut entries = BTreeMap::new();
        // The date in a CRL has no fraction of a second; `check_successor` takes from it which entries may be missing.
        let this_update = now.whole_seconds();
        for revoked in revocations {
            let is_listed = is_listed(revoked.not_after, this_update, period);
            if revoked.issuer == *authority.id() && is_listed {
                // The first revocation of a serial stands; later ones change neither time nor reason.
                entries.entry(revoked.serial.clone()).or_insert_with(|| revoked.clone());
            }
        }
        let next_update = this_update.plus(period);
        Self { number, this_update, next_update, entries, urls: Vec::new() }
    }

    /// Lets it end no earlier than the end of a CRL that claims to be made later, but at most two periods after it was made:
    /// whichever of the two clocks was wrong, clients that have the right time can use it.
    #[must_use]
    pub fn not_ending_before(mut self, end: Timestamp, period: Duration) -> Self {
        self.next_update = self.next_update.max(end.min(self.next_update.plus(period)));
        self
    }

    /// Limits it to the shard of that name, which says where it is served: a client takes it for the CRL of a certificate
    /// only if one of the URLs is the one that the certificate names (RFC 5280 §6.3.3).
    #[must_use]
    pub fn limited_to(mut self, name: &CrlName, urls: Vec<String>) -> Self {
        self.entries.retain(|serial, _| name.lists(serial));
        Self { urls, ..self }
    }
}

/// Whether a CRL made `now` still has to list a revoked certificate that ends at `not_after`.
pub(crate) fn is_listed(not_after: Timestamp, now: Timestamp, period: Duration) -> bool {
    now <= not_after.plus(period)
}

/// Signs a CRL and returns its DER form, checked to parse and verify.
///
/// # Errors
/// When it cannot be built, as with an empty period, or does not verify.
pub fn sign_crl(authority: &Authority, plan: &CrlPlan) -> Result<Vec<u8>, CrlError> {
    let der = build(authority, plan).map_err(CrlError::Build)?;
    if authority.has_signed_crl(&der) {
        return Ok(der);
    }
    authority.key().put_away();
    Err(CrlError::Unverified)
}

/// Builds a CRL, in a function of its own so that what it is built from is freed before the result is parsed.
fn build(authority: &Authority, plan: &CrlPlan) -> Result<Vec<u8>, rcgen::Error> {
    let params = CertificateRevocationListParams {
        this_update: plan.this_update.to_offset_date_time(),
        next_update: plan.next_update.to_offset_date_time(),
        crl_number: SerialNumber::from(plan.number),
        issuing_distribution_point: distribution_point(plan),
        revoked_certs: plan.entries.values().map(entry).collect(),
        // Not derived anew: the issuer's certificate may have been made by others, who derive it otherwise.
        key_identifier_method: KeyIdMethod::PreSpecified(
            authority.certificate().key_identifier().to_vec(),
        ),
    };
    let issuer = rcgen_issuer(authority.certificate(), authority.key())?;
    Ok(params.signed_by(&issuer)?.der().to_vec())
}

/// Only the certificates that we issue are divided, and none of them is a CA's (RFC 5280 §5.2.5).
fn distribution_point(plan: &CrlPlan) -> Option<CrlIssuingDistributionPoint> {
    (!plan.urls.is_empty()).then(|| CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint { uris: plan.urls.clone() },
        scope: Some(CrlScope::UserCertsOnly),
    })
}

fn entry(revoked: &CertRevoked) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: revoked.serial.octets().into(),
        revocation_time: revoked.at.to_offset_date_time(),
        reason_code: reason_code(revoked.reason),
        invalidity_date: None,
    }
}

/// The code is left out instead of saying unspecified (RFC 5280 §5.3.1).
fn reason_code(reason: RevocationReason) -> Option<rcgen::RevocationReason> {
    match reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(rcgen::RevocationReason::KeyCompromise),
        RevocationReason::AffiliationChanged => Some(rcgen::RevocationReason::AffiliationChanged),
        RevocationReason::Superseded => Some(rcgen::RevocationReason::Superseded),
        RevocationReason::CessationOfOperation => {
            Some(rcgen::RevocationReason::CessationOfOperation)
        }
        RevocationReason::PrivilegeWithdrawn => Some(rcgen::RevocationReason::PrivilegeWithdrawn),
    }
}

impl Authority {
    /// Whether this authority's key signed the DER CRL.
    pub fn has_signed_crl(&self, der: &[u8]) -> bool {
        let key = SubjectPublicKeyInfo::from_der(self.certificate().spki());
        match (CertificateRevocationList::from_der(der), key) {
            (Ok(([], crl)), Ok((_, key))) => crl.verify_signature(&key).is_ok(),
            _ => false,
        }
    }
}
