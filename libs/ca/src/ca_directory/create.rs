//! Roots and intermediates that are made here.

use domain::Timestamp;

use super::{
    CaDirectory, CaDirectoryError, INTERMEDIATE_KEY, INTERMEDIATE_PEM, ROOT_KEY, ROOT_PEM, encode,
};
use crate::{
    algorithm::KeyAlgorithm,
    authority::Authority,
    ca_certificate::issuer_id,
    ca_key::CaKey,
    ca_profile::{CaRequest, CaSubject, intermediate_certificate, root_certificate},
};

impl CaDirectory {
    /// Opens the issuing CA, after making what is missing of it: a P-384 root and a P-256 intermediate that carry the
    /// organization's name. A call that was cut short is completed by the next.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when files cannot be written.
    pub fn create_default(
        &self,
        organization: &str,
        now: Timestamp,
    ) -> Result<Authority, CaDirectoryError> {
        // Looked at before locking, for a directory that is mounted read-only.
        if self.exists(INTERMEDIATE_PEM) {
            return self.open();
        }
        let _lock = self.lock()?;
        if self.exists(INTERMEDIATE_PEM) {
            return self.open();
        }
        if !self.exists(ROOT_PEM) {
            let key = self.key(ROOT_KEY, KeyAlgorithm::EcdsaP384)?;
            let subject = default_subject(organization, "Root CA", &key);
            self.write_root(&key, &CaRequest { subject, validity: CaRequest::ROOT_VALIDITY, now })?;
        }
        let key = self.key(INTERMEDIATE_KEY, KeyAlgorithm::EcdsaP256)?;
        let subject = default_subject(organization, "Issuing CA", &key);
        let validity = CaRequest::INTERMEDIATE_VALIDITY;
        self.write_intermediate(&key, &CaRequest { subject, validity, now })?;
        self.open()
    }

    /// Creates a root. Its key is generated unless one was imported or left by a call that was cut short.
    ///
    /// # Errors
    /// When there is a root already, or files cannot be written; a subject that cannot be makes no key.
    pub fn create_root(
        &self,
        algorithm: KeyAlgorithm,
        request: &CaRequest,
    ) -> Result<Authority, CaDirectoryError> {
        request.subject.check()?;
        let _lock = self.lock()?;
        self.refuse_existing(ROOT_PEM)?;
        self.write_root(&self.key(ROOT_KEY, algorithm)?, request)?;
        self.open_root()
    }

    /// Creates an intermediate below the root that is here. Its key is generated unless one is there already.
    ///
    /// # Errors
    /// When there is an intermediate already, the root's key is elsewhere, or files cannot be written.
    pub fn create_intermediate(
        &self,
        algorithm: KeyAlgorithm,
        request: &CaRequest,
    ) -> Result<Authority, CaDirectoryError> {
        request.subject.check()?;
        let _lock = self.lock()?;
        self.refuse_existing(INTERMEDIATE_PEM)?;
        self.write_intermediate(&self.key(INTERMEDIATE_KEY, algorithm)?, request)?;
        self.open()
    }

    /// Creates an intermediate below a root whose key is in another directory. Its key is generated unless one is there
    /// already.
    ///
    /// # Errors
    /// When there is an intermediate already, or files cannot be written.
    pub fn create_intermediate_below(
        &self,
        root: &Authority,
        algorithm: KeyAlgorithm,
        request: &CaRequest,
    ) -> Result<Authority, CaDirectoryError> {
        request.subject.check()?;
        let _lock = self.lock()?;
        self.refuse_existing(INTERMEDIATE_PEM)?;
        let key = self.key(INTERMEDIATE_KEY, algorithm)?;
        let certificate = intermediate_certificate(root, &key, request)?;
        let roots: Vec<Vec<u8>> = root.roots().map(<[u8]>::to_vec).collect();
        // The roots first: an intermediate without its root could not be opened.
        self.replace(ROOT_PEM, &encode(&roots))?;
        self.replace(INTERMEDIATE_PEM, &encode(&[certificate]))?;
        self.open()
    }

    fn write_root(&self, key: &CaKey, request: &CaRequest) -> Result<(), CaDirectoryError> {
        let certificate = root_certificate(key, request)?;
        self.replace(ROOT_PEM, &encode(&[certificate]))
    }

    fn write_intermediate(&self, key: &CaKey, request: &CaRequest) -> Result<(), CaDirectoryError> {
        let root = self.open_root()?;
        let certificate = intermediate_certificate(&root, key, request)?;
        self.replace(INTERMEDIATE_PEM, &encode(&[certificate]))
    }
}

/// Part of the key's id is in the name, so that clients never confuse two CAs that were made alike.
fn default_subject(organization: &str, role: &str, key: &CaKey) -> CaSubject {
    let id = issuer_id(&key.spki());
    CaSubject {
        common_name: format!("{organization} {role} {}", &id.as_str()[..8]),
        organization: Some(organization.to_owned()),
        country: None,
    }
}
