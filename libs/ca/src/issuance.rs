//! Signs what was planned, and looks at the certificate before it leaves.

use domain::Timestamp;
use x509_parser::{
    certificate::{TbsCertificate, X509Certificate},
    prelude::FromDer,
    x509::SubjectPublicKeyInfo,
};

use crate::{
    authority::Authority,
    ca_key::SignError,
    unsigned::{assemble, tbs_of},
};

/// Why bytes were not signed, or the certificate was not let out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The bytes are no TBSCertificate.
    #[error("the bytes to sign are not a TBSCertificate")]
    Malformed,
    /// The bytes are for another issuer or another kind of key.
    #[error("the bytes to sign are for another issuer")]
    OtherIssuer,
    /// The bytes would make a CA, or do not say plainly that they make none.
    #[error("the bytes to sign would make a CA certificate")]
    IsCa,
    /// The certificate would outlive its issuer's.
    #[error("the certificate would outlive its issuer")]
    OutlivesIssuer,
    /// The key did not sign.
    #[error("the certificate was not signed")]
    Sign(#[from] SignError),
    /// The signature does not verify, which means faulty hardware or a fault of ours.
    #[error("the certificate that was signed does not verify")]
    Unverified,
}

impl Authority {
    /// Signs the bytes that [`plan`](crate::plan) decided and returns the DER certificate, checked to parse and verify.
    ///
    /// With a [deterministic](crate::CaKey::is_deterministic) key the same bytes give the same certificate; with any
    /// other they must be signed only once, or there are two certificates with one serial.
    ///
    /// # Errors
    /// When the bytes are not this authority's to sign, or the result is not a certificate that verifies.
    pub fn issue(&self, tbs: &[u8]) -> Result<Vec<u8>, IssueError> {
        self.check_leaf(tbs)?;
        let signature = self.key().sign(tbs)?;
        let der = assemble(tbs, &signature, self.key().algorithm());
        if self.is_issuer_of(&der) && tbs_of(&der).as_deref() == Some(tbs) {
            Ok(der)
        } else {
            self.key().put_away();
            Err(IssueError::Unverified)
        }
    }

    /// Whether this authority's key signed the DER certificate.
    pub fn is_issuer_of(&self, der: &[u8]) -> bool {
        let key = SubjectPublicKeyInfo::from_der(self.certificate().spki());
        match (X509Certificate::from_der(der), key) {
            (Ok(([], certificate)), Ok((_, key))) => {
                certificate.issuer().as_raw() == self.certificate().subject()
                    && certificate.verify_signature(Some(&key)).is_ok()
            }
            _ => false,
        }
    }

    fn check_leaf(&self, tbs: &[u8]) -> Result<(), IssueError> {
        let Ok(([], parsed)) = TbsCertificate::from_der(tbs) else {
            return Err(IssueError::Malformed);
        };
        let algorithm = rcgen_algorithm(&parsed);
        if parsed.issuer().as_raw() != self.certificate().subject()
            || algorithm != Some(self.key().algorithm().rcgen())
        {
            return Err(IssueError::OtherIssuer);
        }
        if !is_plainly_no_ca(&parsed) {
            return Err(IssueError::IsCa);
        }
        let end = Timestamp::from_unix_seconds(parsed.validity().not_after.timestamp());
        if end > self.certificate().not_after() {
            return Err(IssueError::OutlivesIssuer);
        }
        Ok(())
    }
}

/// Where an extension is absent, repeated or damaged, one verifier or another may take the certificate for a CA's.
fn is_plainly_no_ca(parsed: &TbsCertificate<'_>) -> bool {
    let constraints = parsed.basic_constraints().ok().flatten();
    let usage = parsed.key_usage().ok().flatten();
    constraints.is_some_and(|it| !it.value.ca)
        && usage.is_some_and(|it| !it.value.key_cert_sign() && !it.value.crl_sign())
}

fn rcgen_algorithm(parsed: &TbsCertificate<'_>) -> Option<&'static rcgen::SignatureAlgorithm> {
    let oid: Vec<u64> = parsed.signature.algorithm.iter()?.collect();
    rcgen::SignatureAlgorithm::from_oid(&oid).ok()
}
