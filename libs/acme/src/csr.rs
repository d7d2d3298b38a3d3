//! Certificate signing requests (RFC 2986): the names and the key are taken from them, and nothing else.
//!
//! What the certificate says beyond those two is the profile's decision, so other requested extensions are ignored,
//! except those whose silent loss would surprise: a CA certificate and OCSP must-staple are refused.

pub(crate) mod names;

use domain::{Identifier, InvalidDnsName, InvalidIpAddress};
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{
        OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ED25519,
    },
    prelude::FromDer,
};

use crate::{
    base64url,
    key::{BadPublicKey, PublicKey},
};

/// The longest CSR in DER: one hundred of the longest names fit.
pub const MAX_CSR_BYTES: usize = 32 * 1024;
/// The most names in a CSR; an order's own limit is usually lower.
pub const MAX_NAMES: usize = 256;

/// A CSR whose holder has the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The names and addresses of subjectAltName and common name in canonical form, sorted, each once; at least one.
    pub identifiers: Vec<Identifier>,
    /// The first common name that is not empty, in lower case; it is one of `identifiers`.
    pub common_name: Option<String>,
    /// The key to certify.
    pub public_key: PublicKey,
}

/// Why a CSR is not accepted: answered as `badCSR`; its text may be shown to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCsr {
    /// Longer than [`MAX_CSR_BYTES`].
    #[error("the CSR is too long")]
    TooLong,
    /// Not unpadded base64url.
    #[error("the CSR is not base64url without padding")]
    Encoding,
    /// Not one DER CertificationRequest.
    #[error("the CSR is not a DER CertificationRequest")]
    Malformed,
    /// Signed with SHA-1 or something else we do not verify.
    #[error("the signature algorithm of the CSR is not supported")]
    SignatureAlgorithm,
    /// Not signed with the private key of its public key.
    #[error("the signature of the CSR is wrong")]
    Signature,
    /// The key is not accepted.
    #[error("the public key of the CSR is not accepted")]
    PublicKey(#[source] BadPublicKey),
    /// A name is not one we issue for.
    #[error("a name in the CSR is not a DNS name we issue for")]
    Name(#[source] InvalidDnsName),
    /// An address in it is not one we issue for.
    #[error("an address in the CSR is not one we issue for")]
    Address(#[source] InvalidIpAddress),
    /// The common name is no text we read, or there is a subjectAltName of another kind than dNSName and iPAddress.
    #[error("the CSR asks for something else than DNS names and IP addresses")]
    OtherName,
    /// More than one subjectAltName extension.
    #[error("the CSR has more than one subjectAltName extension")]
    RepeatedExtension,
    /// More than [`MAX_NAMES`].
    #[error("the CSR has too many names")]
    TooManyNames,
    /// No name at all.
    #[error("the CSR has no name")]
    NoNames,
    /// basicConstraints with cA TRUE.
    #[error("the CSR asks for a CA certificate")]
    CaCertificate,
    /// The TLS feature extension (RFC 7633), which profiles do not grant.
    #[error("the CSR asks for OCSP must-staple, which is not supported")]
    MustStaple,
}

impl CertificateRequest {
    /// Reads the `csr` member of a finalize request (RFC 8555 §7.4).
    ///
    /// # Errors
    /// As [`Self::parse`], or when the text is not base64url.
    pub fn from_base64url(text: &str) -> Result<Self, BadCsr> {
        if text.len() > MAX_CSR_BYTES.div_ceil(3) * 4 {
            return Err(BadCsr::TooLong);
        }
        Self::parse(&base64url::decode(text).map_err(|_| BadCsr::Encoding)?)
    }

    /// Reads a DER CSR and verifies that it was signed with its own key.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn parse(der: &[u8]) -> Result<Self, BadCsr> {
        if der.len() > MAX_CSR_BYTES {
            return Err(BadCsr::TooLong);
        }
        let Ok(([], csr)) = X509CertificationRequest::from_der(der) else {
            return Err(BadCsr::Malformed);
        };
        // Its version is not looked at: many clients write that of a certificate there.
        let request = &csr.certification_request_info;
        let public_key = PublicKey::from_spki(&request.subject_pki).map_err(BadCsr::PublicKey)?;
        let identifiers = names::requested_names(request)?;
        verify(&csr)?;
        public_key.check_factors().map_err(BadCsr::PublicKey)?;
        let common_name = request
            .subject
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .find(|name| !name.is_empty())
            .map(str::to_ascii_lowercase);
        Ok(Self { identifiers, common_name, public_key })
    }
}

/// x509-parser also verifies SHA-1, so the algorithm is checked first.
fn verify(csr: &X509CertificationRequest<'_>) -> Result<(), BadCsr> {
    let algorithm = &csr.signature_algorithm.algorithm;
    let accepted = [
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ED25519,
        OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA,
        OID_PKCS1_RSASSAPSS,
    ];
    if !accepted.contains(algorithm) {
        return Err(BadCsr::SignatureAlgorithm);
    }
    csr.verify_signature().map_err(|error| match error {
        x509_parser::error::X509Error::SignatureUnsupportedAlgorithm => BadCsr::SignatureAlgorithm,
        _ => BadCsr::Signature,
    })
}
