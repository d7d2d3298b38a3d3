//! A CA's own certificate: what we need to know of it, and whether a chain of them holds.

use domain::{IssuerId, Timestamp};
use x509_parser::{
    certificate::X509Certificate,
    oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA},
    prelude::{FromDer, ParsedExtension, X509Version},
    x509::SubjectPublicKeyInfo,
};

use crate::{
    name_constraints::NameConstraints,
    profile::{ExtendedKeyUsage, IPSEC_IKE},
    subject_name::SubjectName,
};

/// A certificate that may sign others, checked to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    der: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    spki: Vec<u8>,
    key_identifier: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    path_length: Option<u32>,
    signs_crls: bool,
    name_constraints: NameConstraints,
    /// The extended key usages that it permits below it, of those that leaves have; `None` where it limits none.
    usages: Option<Vec<ExtendedKeyUsage>>,
}

/// Why a certificate is not a CA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaCertificateError {
    /// The bytes are no X.509 version 3 certificate.
    #[error("not a DER X.509 version 3 certificate")]
    Malformed,
    /// It has no basicConstraints that say so.
    #[error("the certificate is not a CA's: basicConstraints lacks CA:TRUE")]
    NotCa,
    /// Its keyUsage lacks keyCertSign.
    #[error("the certificate may not sign others: keyUsage lacks keyCertSign")]
    NoCertificateSigning,
    /// It has no subject (RFC 5280 §4.1.2.6).
    #[error("the certificate has an empty subject")]
    NoSubject,
    /// It has no subjectKeyIdentifier (RFC 5280 §4.2.1.2).
    #[error("the certificate has no subjectKeyIdentifier")]
    NoKeyIdentifier,
}

/// Why certificates are no chain up to a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A certificate names another issuer than the next one.
    #[error("certificate {0} of the chain names another issuer than the next certificate")]
    WrongIssuer(usize),
    /// A signature does not verify under the next one's key, or is SHA-1, or of a kind we cannot verify.
    #[error(
        "the signature of certificate {0} of the chain does not verify with the next one's key"
    )]
    BadSignature(usize),
    /// A certificate allows fewer CAs below it than there are.
    #[error("the path length of certificate {0} of the chain forbids the certificates below it")]
    PathLength(usize),
    /// No root signed the last certificate, or not so that we can verify it.
    #[error(
        "no root certificate signed the last certificate of the chain, or not in a way that is accepted: with RSA, P-256, \
         P-384 or Ed25519, and not with SHA-1"
    )]
    NoRoot,
}

impl CaCertificate {
    /// Reads a DER certificate.
    ///
    /// # Errors
    /// When it is no CA certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CaCertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| CaCertificateError::Malformed)?;
        if !rest.is_empty() || certificate.version() != X509Version::V3 {
            return Err(CaCertificateError::Malformed);
        }
        let malformed = |_| CaCertificateError::Malformed;
        let constraints = certificate.basic_constraints().map_err(malformed)?;
        let constraints =
            constraints.filter(|found| found.value.ca).ok_or(CaCertificateError::NotCa)?;
        let usage = certificate.key_usage().map_err(malformed)?;
        let usage = usage
            .filter(|found| found.value.key_cert_sign())
            .ok_or(CaCertificateError::NoCertificateSigning)?;
        if certificate.subject().iter_rdn().next().is_none() {
            return Err(CaCertificateError::NoSubject);
        }
        let key_identifier =
            key_identifier(&certificate).ok_or(CaCertificateError::NoKeyIdentifier)?;
        let seconds =
            |time: x509_parser::time::ASN1Time| Timestamp::from_unix_seconds(time.timestamp());
        Ok(Self {
            der: der.to_vec(),
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            spki: certificate.public_key().raw.to_vec(),
            key_identifier,
            not_before: seconds(certificate.validity().not_before),
            not_after: seconds(certificate.validity().not_after),
            path_length: constraints.value.path_len_constraint,
            signs_crls: usage.value.crl_sign(),
            name_constraints: NameConstraints::of(&certificate),
            usages: usages(&certificate),
        })
    }

    /// The certificate as it was given.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The DER Name of its subject.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The DER Name of whoever signed it.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The id of the issuer, which is that of its key: all its certificates have the same.
    pub fn issuer_id(&self) -> IssuerId {
        issuer_id(&self.spki)
    }

    /// The subjectKeyIdentifier, which certificates and CRLs below it name (RFC 5280 §4.2.1.1).
    pub(crate) fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    /// The first second of validity.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last second of validity.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it may sign CRLs.
    pub(crate) fn signs_crls(&self) -> bool {
        self.signs_crls
    }

    /// Whether those below it may certify a name.
    pub(crate) fn permits(&self, name: &SubjectName) -> bool {
        self.name_constraints.permit(name)
    }

    /// Whether those below it may have that usage: clients ask for this, though RFC 5280 does not.
    pub(crate) fn is_for(&self, usage: ExtendedKeyUsage) -> bool {
        self.usages.as_ref().is_none_or(|usages| usages.contains(&usage))
    }

    /// Whether subject and issuer are one, as in a root.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether `issuer`'s key made the signature of this certificate.
    pub(crate) fn is_signed_by(&self, issuer: &Self) -> bool {
        let parsed = X509Certificate::from_der(&self.der);
        let key = SubjectPublicKeyInfo::from_der(&issuer.spki);
        let (Ok((_, certificate)), Ok((_, key))) = (parsed, key) else { return false };
        let algorithm = &certificate.signature_algorithm.algorithm;
        let is_sha1 = *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA;
        !is_sha1 && certificate.verify_signature(Some(&key)).is_ok()
    }
}

/// The id of the issuer whose key has this SubjectPublicKeyInfo.
pub(crate) fn issuer_id(spki: &[u8]) -> IssuerId {
    let hash = ring::digest::digest(&ring::digest::SHA256, spki);
    let mut octets = [0; 32];
    octets.copy_from_slice(hash.as_ref());
    IssuerId::from_hash(&octets)
}

/// Checks that each certificate was signed by the next, and that the last is one of the roots or was signed by one. Returns when
/// the chain ends: with whichever of its certificates or its root ends first. Of several roots the one that ends last counts,
/// because clients may have it.
///
/// # Errors
/// The first certificate, counted from 0, where the chain does not hold.
pub(crate) fn check_chain(
    chain: &[CaCertificate],
    roots: &[CaCertificate],
) -> Result<Timestamp, ChainError> {
    let Some(last) = chain.last() else { return Err(ChainError::NoRoot) };
    for (below, certificate) in chain.iter().enumerate() {
        if certificate.path_length.is_some_and(|length| (length as usize) < below) {
            return Err(ChainError::PathLength(below));
        }
    }
    for (index, pair) in chain.windows(2).enumerate() {
        if let [certificate, issuer] = pair {
            check_link(index, certificate, issuer)?;
        }
    }
    let below = chain.len();
    let is_root = |root: &&CaCertificate| {
        root.der == last.der
            || (check_link(below, last, root).is_ok()
                && root.path_length.is_none_or(|length| length as usize >= below))
    };
    let end = roots.iter().filter(is_root).map(CaCertificate::not_after).max();
    let ends = chain.iter().map(CaCertificate::not_after);
    end.map(|end| ends.fold(end, Timestamp::min)).ok_or(ChainError::NoRoot)
}

fn check_link(
    index: usize,
    certificate: &CaCertificate,
    issuer: &CaCertificate,
) -> Result<(), ChainError> {
    if certificate.issuer != issuer.subject {
        return Err(ChainError::WrongIssuer(index));
    }
    if !certificate.is_signed_by(issuer) {
        return Err(ChainError::BadSignature(index));
    }
    Ok(())
}

fn usages(certificate: &X509Certificate<'_>) -> Option<Vec<ExtendedKeyUsage>> {
    let found = certificate.extended_key_usage().ok().flatten()?.value;
    let holds = |usage: &ExtendedKeyUsage| match usage {
        ExtendedKeyUsage::ServerAuth => found.server_auth,
        ExtendedKeyUsage::ClientAuth => found.client_auth,
        ExtendedKeyUsage::CodeSigning => found.code_signing,
        ExtendedKeyUsage::EmailProtection => found.email_protection,
        ExtendedKeyUsage::IpsecIke => {
            let mut arcs = found.other.iter().filter_map(|oid| oid.iter());
            arcs.any(|arcs| arcs.eq(IPSEC_IKE))
        }
    };
    (!found.any).then(|| ExtendedKeyUsage::ALL.into_iter().filter(holds).collect())
}

fn key_identifier(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
        _ => None,
    })
}
