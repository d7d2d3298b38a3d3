//! The delegated OCSP responder (RFC 6960 §2.6): a key that signs responses and nothing else, certified by the CA.

use std::time::Duration;

use domain::{Serial, Timestamp};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose,
};

use super::{
    OcspRequest, OcspStatus,
    request::public_key_bits,
    response::{self, Period},
};
use crate::{
    algorithm::KeyAlgorithm,
    authority::Authority,
    ca_key::{CaKey, KeyError, SignError},
    plan::PlannedCertificate,
    unsigned::tbs_of,
};

/// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1): the certificate is not checked for revocation itself.
const NO_CHECK: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
const NULL: [u8; 2] = [5, 0];
/// How long before now a responder is certified, for clients whose clocks are slow: each signer that starts has a new one.
const BACKDATE: Duration = Duration::from_hours(1);

/// A delegated responder: its key, and once it was issued, its certificate.
#[derive(Debug)]
pub struct OcspResponder {
    key: CaKey,
    certificate: Vec<u8>,
}

/// Why there is no responder.
#[derive(Debug, thiserror::Error)]
pub enum OcspResponderError {
    /// There is no key.
    #[error("no key was made for the OCSP responder")]
    Key(#[from] KeyError),
    /// The certificate could not be built.
    #[error("the OCSP responder's certificate cannot be built")]
    Build(#[source] rcgen::Error),
    /// The issuer is about to end.
    #[error("the issuer's certificate is not valid long enough")]
    IssuerNotValid,
}

impl OcspResponder {
    /// Makes a key and decides the bytes of a certificate for it, to be signed by `authority` under `serial`; the key is
    /// useless until [`with_certificate`](Self::with_certificate).
    ///
    /// # Errors
    /// When there are no random numbers or the issuer is not valid.
    pub fn plan(
        authority: &Authority,
        serial: &Serial,
        now: Timestamp,
        validity: Duration,
    ) -> Result<(Self, PlannedCertificate), OcspResponderError> {
        let pkcs8 = CaKey::generate_pkcs8(KeyAlgorithm::EcdsaP256)?;
        let key = CaKey::from_pkcs8(&pkcs8)?;
        let issuer = authority.certificate();
        let not_before = now.minus(BACKDATE).max(issuer.not_before()).whole_seconds();
        let not_after = now.plus(validity).whole_seconds().min(issuer.not_after());
        if not_after <= now {
            return Err(OcspResponderError::IssuerNotValid);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = format!("OCSP responder of {}", authority.id());
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial.octets().into());
        params.not_before = not_before.to_offset_date_time();
        params.not_after = not_after.to_offset_date_time();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&NO_CHECK, NULL.to_vec())];
        let unsigned =
            params.signed_by(&key, authority.unsigned()).map_err(OcspResponderError::Build)?;
        let tbs = tbs_of(unsigned.der()).unwrap_or_default();
        let planned = PlannedCertificate { tbs, serial: serial.clone(), not_before, not_after };
        Ok((Self { key, certificate: Vec::new() }, planned))
    }

    /// Takes the DER certificate that was issued for the key.
    #[must_use]
    pub fn with_certificate(self, certificate: Vec<u8>) -> Self {
        Self { certificate, ..self }
    }

    /// Signs a response: a status for each certificate asked about, good until `next_update`.
    ///
    /// # Errors
    /// When the key did not sign.
    pub fn respond(
        &self,
        request: &OcspRequest,
        statuses: &[OcspStatus],
        now: Timestamp,
        next_update: Timestamp,
    ) -> Result<Vec<u8>, SignError> {
        let own_key = public_key_bits(&self.key.spki()).unwrap_or_default();
        let period = Period { now, next_update };
        let data = response::response_data(request, statuses, &own_key, period);
        let signature = self.key.sign(&data)?;
        let algorithm = self.key.algorithm().signature_identifier();
        Ok(response::successful(&data, &algorithm, &signature, &self.certificate))
    }
}
