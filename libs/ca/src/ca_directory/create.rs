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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::Timestamp;

    use super::*;
    use crate::{algorithm::KeyAlgorithm, ca_profile::CaSubject};

    fn request(common_name: &str) -> CaRequest {
        let subject =
            CaSubject { common_name: common_name.to_owned(), organization: None, country: None };
        let now = Timestamp::from_unix_seconds(1_790_000_000);
        CaRequest { subject, extended_key_usages: vec![], validity: Duration::from_hours(24), now }
    }

    fn create(ca: &CaDirectory) -> Authority {
        ca.create_root(KeyAlgorithm::EcdsaP384, &request("Root")).unwrap();
        ca.create_intermediate(KeyAlgorithm::EcdsaP256, &request("Issuing")).unwrap()
    }

    #[test]
    fn a_ca_that_was_made_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path().join("ca"), None);
        let made = create(&ca);
        assert_eq!(made.certificate(), ca.open().unwrap().certificate());
        assert_eq!(made.key().algorithm(), KeyAlgorithm::EcdsaP256);
        assert_eq!(ca.open_root().unwrap().key().algorithm(), KeyAlgorithm::EcdsaP384);
    }

    #[test]
    fn an_existing_ca_is_not_created_again() {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path(), None);
        create(&ca);
        let root = ca.create_root(KeyAlgorithm::EcdsaP256, &request("Root"));
        assert!(matches!(root, Err(CaDirectoryError::AlreadyExists(_))));
        let intermediate = ca.create_intermediate(KeyAlgorithm::EcdsaP256, &request("Issuing"));
        assert!(matches!(intermediate, Err(CaDirectoryError::AlreadyExists(_))));
    }

    #[test]
    fn a_key_that_is_there_is_used_unless_another_kind_is_insisted_on() {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path(), None);
        let wanted = request("Issuing");
        let first = ca.request_intermediate(KeyAlgorithm::EcdsaP256, &wanted).unwrap();
        let other = ca.request_intermediate(KeyChoice::Only(KeyAlgorithm::EcdsaP384), &wanted);
        let there = KeyAlgorithm::EcdsaP256;
        assert!(matches!(other, Err(CaDirectoryError::OtherKind { kind, .. }) if kind == there));
        let requested = std::fs::read_to_string(dir.path().join("intermediate.csr")).unwrap();
        assert_eq!(requested, first);
        for choice in [KeyAlgorithm::EcdsaP384.into(), KeyChoice::Only(there)] {
            ca.request_intermediate(choice, &wanted).unwrap();
            assert_eq!(ca.keys.load(INTERMEDIATE_KEY).unwrap().algorithm(), there);
        }
    }

    #[test]
    fn an_intermediate_is_made_below_the_root_of_another_directory() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ca = CaDirectory::new(dir.path(), None);
        let first = create(&ca);
        let root = ca.open_root().unwrap();
        let below = CaDirectory::new(other.path(), None);
        let second = below
            .create_intermediate_below(&root, KeyAlgorithm::EcdsaP384, &request("Second"))
            .unwrap();
        assert_ne!(first.id(), second.id());
        assert_eq!(first.roots().collect::<Vec<_>>(), second.roots().collect::<Vec<_>>());
        assert!(matches!(below.open_root(), Err(CaDirectoryError::RootElsewhere)));
    }

    #[test]
    fn an_intermediate_is_not_made_below_another_root_than_the_one_that_is_there() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ca = CaDirectory::new(dir.path(), None);
        create(&ca);
        let below = CaDirectory::new(other.path(), None);
        below.create_root(KeyAlgorithm::Ed25519, &request("Its own root")).unwrap();
        let own = below.read(ROOT_PEM).unwrap();
        // To the safe.
        std::fs::remove_file(below.keys.path(ROOT_KEY)).unwrap();
        let made = below.create_intermediate_below(
            &ca.open_root().unwrap(),
            KeyAlgorithm::Ed25519,
            &request("Second"),
        );
        assert!(matches!(made, Err(CaDirectoryError::RootElsewhere)), "{made:?}");
        assert_eq!(below.read(ROOT_PEM).unwrap(), own);
    }

    #[test]
    fn a_subject_that_cannot_be_leaves_no_key_that_the_next_call_would_take() {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path().join("ca"), None);
        let (algorithm, wrong) = (KeyAlgorithm::EcdsaP256, request(""));
        let made = [
            ca.create_root(algorithm, &wrong).map(drop),
            ca.create_intermediate(algorithm, &wrong).map(drop),
            ca.request_intermediate(algorithm, &wrong).map(drop),
        ];
        for made in made {
            assert!(matches!(made, Err(CaDirectoryError::Profile(_))), "{made:?}");
        }
        assert!(!dir.path().join("ca").exists());
    }

    #[test]
    fn without_the_roots_key_no_intermediate_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path(), None);
        ca.create_root(KeyAlgorithm::Ed25519, &request("Root")).unwrap();
        std::fs::remove_file(dir.path().join("keys").join(ROOT_KEY)).unwrap();
        let result = ca.create_intermediate(KeyAlgorithm::Ed25519, &request("Issuing"));
        assert!(matches!(result, Err(CaDirectoryError::RootElsewhere)));
    }
}
