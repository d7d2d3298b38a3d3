//! Roots and intermediates that are made here.

use super::{
    CaDirectory, CaDirectoryError, INTERMEDIATE_KEY, INTERMEDIATE_PEM, ROOT_KEY, ROOT_PEM, encode,
};
use crate::{
    algorithm::KeyChoice,
    authority::Authority,
    ca_key::CaKey,
    ca_profile::{CaRequest, intermediate_certificate, root_certificate},
};

impl CaDirectory {
    /// Creates a root. Its key is generated unless one was imported or left by a call that was cut short.
    ///
    /// # Errors
    /// When there is a root already, or files cannot be written; a subject that cannot be makes no key.
    pub fn create_root(
        &self,
        key: impl Into<KeyChoice>,
        request: &CaRequest,
    ) -> Result<Authority, CaDirectoryError> {
        request.subject.check()?;
        let _lock = self.lock()?;
        self.refuse_existing(ROOT_PEM)?;
        self.write_root(&self.key(ROOT_KEY, key.into())?, request)?;
        self.open_root()
    }

    /// Creates an intermediate below the root that is here. Its key is generated unless one is there already.
    ///
    /// # Errors
    /// When there is an intermediate already, the root's key is elsewhere, or files cannot be written.
    pub fn create_intermediate(
        &self,
        key: impl Into<KeyChoice>,
        request: &CaRequest,
    ) -> Result<Authority, CaDirectoryError> {
        request.subject.check()?;
        let _lock = self.lock()?;
        self.refuse_existing(INTERMEDIATE_PEM)?;
        self.write_intermediate(&self.key(INTERMEDIATE_KEY, key.into())?, request)?;
        self.open()
    }

    /// Creates an intermediate below a root whose key is in another directory. Its key is generated unless one is there
    /// already.
    ///
    /// # Errors
    /// When there is an intermediate already, or a root of its own, or files cannot be written.
    pub fn create_intermediate_below(
        &self,
        root: &Authority,
        key: impl Into<KeyChoice>,
        request: &CaRequest,
    ) -> Result<Authority, CaDirectoryError> {
        request.subject.check()?;
        let _lock = self.lock()?;
        self.refuse_existing(INTERMEDIATE_PEM)?;
        self.refuse_other_root(root)?;
        let key = self.key(INTERMEDIATE_KEY, key.into())?;
        let certificate = intermediate_certificate(root, &key, request)?;
        let roots: Vec<Vec<u8>> = root.roots().map(<[u8]>::to_vec).collect();
        // The roots first: an intermediate without its root could not be opened.
        self.replace(ROOT_PEM, &encode(&roots))?;
        self.replace(INTERMEDIATE_PEM, &encode(&[certificate]))?;
        self.open()
    }

    /// A root that is here and whose key is not, as after it was taken away, is neither forgotten nor replaced.
    fn refuse_other_root(&self, root: &Authority) -> Result<(), CaDirectoryError> {
        let is_its = |der: &Vec<u8>| root.roots().any(|known| known == der);
        if !self.exists(ROOT_PEM) || self.read(ROOT_PEM)?.iter().all(is_its) {
            return Ok(());
        }
        Err(CaDirectoryError::RootElsewhere)
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
