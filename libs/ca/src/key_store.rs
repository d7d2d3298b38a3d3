//! CA keys as files (PKCS#8 PEM that only the owner can read, perhaps under a passphrase), or in a token.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    algorithm::KeyAlgorithm,
    ca_key::{CaKey, KeyError},
    durable::{self, Access},
    key_pem::{self, KeyPemError, Passphrase, Protection},
    token::{TokenError, TokenPlace},
};

const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

/// A directory of CA key files and the passphrase they are under; some of the keys may be in tokens instead.
#[derive(Debug)]
pub struct KeyStore {
    dir: PathBuf,
    passphrase: Option<Passphrase>,
    in_tokens: BTreeMap<&'static str, TokenPlace>,
}

/// Why a key file cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The file system said no.
    #[error("key file {path} cannot be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no such key.
    #[error("key file {0} does not exist")]
    NotFound(PathBuf),
    /// There is a key under this name; keys are never overwritten.
    #[error("key file {0} exists already and is never overwritten")]
    AlreadyExists(PathBuf),
    /// Others than the owner may read or write the key.
    #[error(
        "key file {path} is open to others than its owner (mode {mode:04o}): run chmod 600 {path}"
    )]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The text of the key cannot be read or written.
    #[error(transparent)]
    Pem(#[from] KeyPemError),
    /// The key itself is unusable.
    #[error("the key is unusable")]
    Key(#[from] KeyError),
    /// The token that holds the key, or is to hold it, cannot be used.
    #[error("the key in the token cannot be used")]
    Token(#[from] TokenError),
}

impl KeyStore {
    /// Names a directory; it is created with its first key. Keys are written under the passphrase, if there is one.
    pub fn new(dir: impl Into<PathBuf>, passphrase: Option<Passphrase>) -> Self {
        Self { dir: dir.into(), passphrase, in_tokens: BTreeMap::new() }
    }

    /// Has a token hold the key of this name.
    pub(crate) fn hold_in_token(&mut self, name: &'static str, place: TokenPlace) {
        self.in_tokens.insert(name, place);
    }

    /// Where the key of this name is kept.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether there is a key of this name.
    ///
    /// # Errors
    /// When the token that may hold it cannot be used.
    pub fn contains(&self, name: &str) -> Result<bool, KeyStoreError> {
        match self.in_tokens.get(name) {
            Some(place) => Ok(place.is_taken()?),
            None => Ok(self.path(name).exists()),
        }
    }

    /// Generates a key and keeps it under a new name.
    ///
    /// # Errors
    /// When the name is taken, the kind cannot be generated, or the file system or the token says no.
    pub fn create(&self, name: &str, algorithm: KeyAlgorithm) -> Result<CaKey, KeyStoreError> {
        if let Some(place) = self.in_tokens.get(name) {
            return Ok(CaKey::in_token(place.create(algorithm)?));
        }
        self.keep(name, &CaKey::generate_pkcs8(algorithm)?)
    }

    /// Keeps a key that was made elsewhere, given as PKCS#8 PEM, plain or under this store's passphrase.
    ///
    /// # Errors
    /// When the name is taken or that of a key in a token, the key is unusable, or the file system says no.
    pub fn import(&self, name: &str, pem: &str) -> Result<CaKey, KeyStoreError> {
        if self.in_tokens.contains_key(name) {
            return Err(TokenError::NoImport.into());
        }
        self.keep(name, key_pem::decode(pem, self.passphrase.as_ref())?.as_bytes())
    }

    /// Loads a key.
    ///
    /// # Errors
    /// When there is none, others may read it, its passphrase is wrong, or it or its token is unusable.
    pub fn load(&self, name: &str) -> Result<CaKey, KeyStoreError> {
        if let Some(place) = self.in_tokens.get(name) {
            return Ok(CaKey::in_token(place.load()?));
        }
        let path = self.path(name);
        let file = open(&path)?.ok_or_else(|| KeyStoreError::NotFound(path.clone()))?;
        // Of the opened file, so that nobody swaps it between the check and the reading.
        let metadata = file.metadata().map_err(at(&path))?;
        let mode = metadata.mode() & 0o7777;
        if !is_private(mode, own_user().is_none_or(|own| metadata.uid() == own)) {
            return Err(KeyStoreError::TooOpen { path, mode });
        }
        let contents = read(&file, &path)?;
        let key = key_pem::decode(text(&contents)?, self.passphrase.as_ref())?;
        Ok(CaKey::from_pkcs8(key.as_bytes())?)
    }

    /// What protects the file of this name; none if there is no such file. Needs no passphrase.
    ///
    /// # Errors
    /// When it cannot be read or holds no key.
    pub fn protection(&self, name: &str) -> Result<Option<Protection>, KeyStoreError> {
        let path = self.path(name);
        let Some(file) = open(&path)? else { return Ok(None) };
        let contents = read(&file, &path)?;
        Ok(Some(key_pem::protection(text(&contents)?)?))
    }

    fn keep(&self, name: &str, pkcs8: &[u8]) -> Result<CaKey, KeyStoreError> {
        let key = CaKey::from_pkcs8(pkcs8)?;
        let pem = key_pem::encode(pkcs8, self.passphrase.as_ref())?;
        let path = self.path(name);
        durable::create_directory(&self.dir, Access::Owner).map_err(at(&self.dir))?;
        let _lock = durable::lock(&self.dir.join(".lock")).map_err(at(&self.dir))?;
        match durable::write_new(&path, pem.as_bytes(), Access::Owner) {
            Ok(()) => Ok(key),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(KeyStoreError::AlreadyExists(path))
            }
            Err(source) => Err(KeyStoreError::Io { path, source }),
        }
    }
}

/// Opens a file, if there is one.
fn open(path: &Path) -> Result<Option<File>, KeyStoreError> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(at(path)),
    }
}

fn read(file: &File, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
    durable::read_bounded(file, MAX_KEY_FILE_BYTES).map(Zeroizing::new).map_err(at(path))
}

fn text(contents: &[u8]) -> Result<&str, KeyPemError> {
    std::str::from_utf8(contents).map_err(|_| KeyPemError::NotPem)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyStoreError + use<> {
    let path = path.to_owned();
    |source| KeyStoreError::Io { path, source }
}

/// Whether only we and the file's owner can read a key. Kubernetes mounts secrets as files of root that the pod's group
/// may read: without that we could not.
fn is_private(mode: u32, is_own: bool) -> bool {
    let others = if is_own { 0o077 } else { 0o037 };
    mode & others == 0
}

/// The user this process runs as; none where the system does not show its processes.
fn own_user() -> Option<u32> {
    Some(std::fs::metadata("/proc/self").ok()?.uid())
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    fn passphrase(text: &str) -> Option<Passphrase> {
        Some(Passphrase::from(text.to_owned()))
    }

    #[test]
    fn a_key_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path().join("keys"), None);
        let key = store.create("a.key", KeyAlgorithm::Ed25519).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("keys")), 0o700);
        assert_eq!(mode(&store.path("a.key")), 0o600);
        assert_eq!(store.load("a.key").unwrap().spki(), key.spki());
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path(), None);
        let key = store.create("a.key", KeyAlgorithm::EcdsaP256).unwrap();
        let again = store.create("a.key", KeyAlgorithm::EcdsaP256);
        assert!(matches!(again, Err(KeyStoreError::AlreadyExists(_))));
        assert_eq!(store.load("a.key").unwrap().spki(), key.spki());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path(), None);
        store.create("a.key", KeyAlgorithm::EcdsaP256).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o610] {
            std::fs::set_permissions(store.path("a.key"), Permissions::from_mode(mode)).unwrap();
            let error = store.load("a.key").unwrap_err();
            assert!(matches!(error, KeyStoreError::TooOpen { .. }), "{mode:o}");
            assert!(error.to_string().contains("chmod 600"));
        }
        std::fs::set_permissions(store.path("a.key"), Permissions::from_mode(0o400)).unwrap();
        assert!(store.load("a.key").is_ok());
    }

    #[test]
    fn an_encrypted_key_needs_its_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::new(dir.path(), passphrase("right"));
        let key = store.create("a.key", KeyAlgorithm::EcdsaP384).unwrap();
        assert_eq!(store.load("a.key").unwrap().spki(), key.spki());
        let wrong = KeyStore::new(dir.path(), passphrase("wrong")).load("a.key");
        assert!(matches!(wrong, Err(KeyStoreError::Pem(KeyPemError::Undecryptable))));
        let none = KeyStore::new(dir.path(), None).load("a.key");
        assert!(matches!(none, Err(KeyStoreError::Pem(KeyPemError::PassphraseRequired))));
    }

    #[test]
    fn what_protects_a_key_is_seen_without_its_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let without = KeyStore::new(dir.path(), None);
        without.create("plain.key", KeyAlgorithm::Ed25519).unwrap();
        let with = KeyStore::new(dir.path(), passphrase("secret"));
        with.create("encrypted.key", KeyAlgorithm::Ed25519).unwrap();
        std::fs::write(dir.path().join("none.key"), "nothing").unwrap();
        let protection = |name| without.protection(name);
        assert_eq!(protection("plain.key").unwrap(), Some(Protection::Plain));
        assert_eq!(protection("encrypted.key").unwrap(), Some(Protection::Passphrase));
        assert_eq!(protection("absent.key").unwrap(), None);
        assert!(matches!(protection("none.key"), Err(KeyStoreError::Pem(KeyPemError::NotPem))));
    }

    #[test]
    fn a_secret_that_is_mounted_for_the_group_is_private_but_a_file_of_ours_is_not() {
        assert!(is_private(0o440, false));
        assert!(is_private(0o400, true));
        assert!(!is_private(0o440, true));
        for mode in [0o444, 0o460, 0o441, 0o644] {
            assert!(!is_private(mode, false), "{mode:o}");
        }
    }
}
