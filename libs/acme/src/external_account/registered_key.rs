//! A public key that an operator registers, by itself or in a certificate.

use domain::{ExternalKeyId, KeyFingerprint, ProfileName, SubjectPublicKey, Timestamp};
use ring::digest::{SHA256, digest};
use x509_parser::{certificate::X509Certificate, pem::parse_x509_pem, prelude::FromDer as _};

use super::ejbca;
use crate::{BadPublicKey, PublicKey, base64url};

/// A key whose owner binds accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredKey {
    key: PublicKey,
    fingerprint: KeyFingerprint,
}

/// What an operator wants to register cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRegistration {
    /// The text is no PEM of the kind that is wanted.
    #[error("expected PEM that begins with -----BEGIN {0}-----")]
    NotPem(&'static str),
    /// The certificate cannot be read.
    #[error("the certificate cannot be read")]
    NotCertificate,
    /// The certificate is not valid at this time.
    #[error("the certificate has expired or is not valid yet")]
    NotValid,
    /// The key is of a kind that is not accepted, or weak.
    #[error("the key is not accepted")]
    Key(#[from] BadPublicKey),
}

impl RegisteredKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// When it is none, or not one that is accepted.
    pub fn from_public_key(pem: &str) -> Result<Self, BadRegistration> {
        let der = contents(pem, "PUBLIC KEY")?;
        Self::checked(PublicKey::from_spki_der(&der)?, &der)
    }

    /// Reads a certificate, and when it ends.
    ///
    /// # Errors
    /// When it is none, or not valid now, or its key is not accepted.
    pub fn from_certificate(
        pem: &str,
        now: Timestamp,
    ) -> Result<(Self, Timestamp), BadRegistration> {
        let der = contents(pem, "CERTIFICATE")?;
        let Ok(([], certificate)) = X509Certificate::from_der(&der) else {
            return Err(BadRegistration::NotCertificate);
        };
        let validity = certificate.validity();
        let [not_before, not_after] = [validity.not_before, validity.not_after]
            .map(|time| Timestamp::from_unix_seconds(time.timestamp()));
        if now < not_before || now >= not_after {
            return Err(BadRegistration::NotValid);
        }
        Ok((Self::checked(PublicKey::from_spki(certificate.public_key())?, &der)?, not_after))
    }

    /// Takes a key as it was registered.
    ///
    /// # Errors
    /// When the stored key is not one that we wrote.
    pub fn from_stored(
        key: &SubjectPublicKey,
        fingerprint: &KeyFingerprint,
    ) -> Result<Self, BadPublicKey> {
        let der = base64url::decode(&key.0).map_err(|_| BadPublicKey::Unsupported)?;
        Ok(Self { key: PublicKey::from_spki_der(&der)?, fingerprint: fingerprint.clone() })
    }

    fn checked(key: PublicKey, der: &[u8]) -> Result<Self, BadRegistration> {
        key.check_numbers()?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, der).as_ref());
        Ok(Self { key, fingerprint: KeyFingerprint::from_hash(&hash) })
    }

    /// The id that it is registered under.
    pub fn id(&self, profile: &ProfileName) -> ExternalKeyId {
        ejbca::key_id(profile, &self.fingerprint)
    }

    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What bindings know it by.
    pub fn fingerprint(&self) -> &KeyFingerprint {
        &self.fingerprint
    }
}

fn contents(pem: &str, label: &'static str) -> Result<Vec<u8>, BadRegistration> {
    match parse_x509_pem(pem.as_bytes()) {
        Ok((_, found)) if found.label == label => Ok(found.contents),
        Ok(_) | Err(_) => Err(BadRegistration::NotPem(label)),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, date_time_ymd};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn certificate(pair: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 2, 1);
        params.self_signed(pair).unwrap().pem()
    }

    #[test]
    fn a_key_is_registered_by_itself_or_in_a_certificate_under_different_fingerprints() {
        let pair = KeyPair::generate().unwrap();
        let key = RegisteredKey::from_public_key(&pair.public_key_pem()).unwrap();
        let now = at("2026-01-02T00:00:00Z");
        let (certified, ends) = RegisteredKey::from_certificate(&certificate(&pair), now).unwrap();
        assert_eq!(key.key(), certified.key());
        assert_eq!(key.fingerprint().as_str(), key.key().hash().as_str());
        assert_ne!(key.fingerprint(), certified.fingerprint());
        assert_eq!(ends, at("2026-02-01T00:00:00Z"));
        let (one, other) = (ProfileName::default(), "other".parse().unwrap());
        assert_ne!(key.id(&one), key.id(&other));
        assert_ne!(key.id(&one), certified.id(&one));
        let stored = SubjectPublicKey(base64url::encode(&pair.subject_public_key_info()));
        assert_eq!(RegisteredKey::from_stored(&stored, key.fingerprint()), Ok(key));
    }

    #[test]
    fn what_is_no_good_key_is_not_registered() {
        let pair = KeyPair::generate().unwrap();
        let (public, certificate) = (pair.public_key_pem(), certificate(&pair));
        for time in ["2025-12-31T23:59:59Z", "2026-02-01T00:00:00Z"] {
            let refused = RegisteredKey::from_certificate(&certificate, at(time));
            assert_eq!(refused, Err(BadRegistration::NotValid), "{time}");
        }
        for text in ["", "hunter2", &certificate, &pair.serialize_pem()] {
            let refused = RegisteredKey::from_public_key(text);
            assert_eq!(refused, Err(BadRegistration::NotPem("PUBLIC KEY")), "{text}");
        }
        let now = at("2026-01-02T00:00:00Z");
        let refused = RegisteredKey::from_certificate(&public, now);
        assert_eq!(refused, Err(BadRegistration::NotPem("CERTIFICATE")));
        let relabelled = public.replace("PUBLIC KEY", "CERTIFICATE");
        let refused = RegisteredKey::from_certificate(&relabelled, now);
        assert_eq!(refused, Err(BadRegistration::NotCertificate));
    }
}
