//! A CA on disk: the keys in `keys/`, the certificates beside it, made so that a crash at any moment can be repeated.

mod create;
mod install;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::{
    algorithm::{KeyAlgorithm, KeyChoice},
    authority::{Authority, AuthorityError},
    ca_certificate::{CaCertificate, CaCertificateError},
    ca_key::CaKey,
    ca_profile::CaProfileError,
    chain::Chain,
    durable::{self, Access},
    key_pem::Passphrase,
    key_store::{KeyStore, KeyStoreError},
    pem_file::{NotCertificates, encode_certificates, parse_certificates},
    token::TokenPlace,
};

const ROOT_KEY: &str = "root.key";
const ROOT_PEM: &str = "root.pem";
const INTERMEDIATE_KEY: &str = "intermediate.key";
const INTERMEDIATE_PEM: &str = "intermediate.pem";
const ALTERNATES: &str = "alternates";
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// The directory of one CA: `root.pem` holds the roots that clients trust, `intermediate.pem` the issuing certificate
/// and those between it and the root, `keys/root.key` and `keys/intermediate.key` the keys. Each file of `alternates/` that
/// ends in `.pem` holds another chain for the issuing key, from its cross-signed certificate up to another root.
#[derive(Debug)]
pub struct CaDirectory {
    dir: PathBuf,
    keys: KeyStore,
}

/// Why a CA cannot be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum CaDirectoryError {
    /// The file system said no.
    #[error("CA file {path} cannot be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no such certificate yet.
    #[error(
        "CA file {0} does not exist: create the CA with certmill ca, or install its certificate"
    )]
    NotFound(PathBuf),
    /// There is such a certificate, which is never replaced.
    #[error("CA file {0} exists already")]
    AlreadyExists(PathBuf),
    /// The root's key is kept elsewhere, so that no intermediate can be signed here.
    #[error(
        "the root's key is not here: make a request with certmill ca, have the root sign it, and install the certificate"
    )]
    RootElsewhere,
    /// What is to be installed holds no certificates.
    #[error("the CA certificates cannot be read")]
    NotCertificates(#[from] NotCertificates),
    /// A file holds no certificates.
    #[error("the CA certificates in {path} cannot be read")]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: NotCertificates,
    },
    /// A file's alternate chain does not hold.
    #[error("the alternate chain in {path} cannot be used")]
    Alternate {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: AuthorityError,
    },
    /// A certificate to install is not a CA's.
    #[error("one of the certificates to install cannot be used")]
    Certificate(#[from] CaCertificateError),
    /// None of the certificates to install is for the intermediate's key.
    #[error("none of the certificates to install is for the intermediate's key")]
    OtherKey,
    /// The certificate to install names the key in use otherwise than the installed one.
    #[error(
        "what was issued so far relies on the name and key identifier of the installed certificate: have the new one made \
         for the same subject, with subjectKeyIdentifier = {key_identifier}"
    )]
    OtherNames {
        /// The key identifier in hex.
        key_identifier: String,
    },
    /// A certificate to install is expired or not valid yet.
    #[error("a certificate to install is not valid now")]
    NotValid,
    /// The key that is there, from an import or an earlier call, is not of the kind that is asked for.
    #[error(
        "there is a key of kind {kind} already, in {path} or the token: leave out --key-type to use it, or move it away first"
    )]
    OtherKind {
        /// Where it is, unless in the token.
        path: PathBuf,
        /// Its kind.
        kind: KeyAlgorithm,
    },
    /// A key cannot be used.
    #[error("a CA key cannot be used")]
    Key(#[from] KeyStoreError),
    /// A certificate or request could not be made.
    #[error("a CA certificate or request cannot be made")]
    Profile(#[from] CaProfileError),
    /// Key and certificates do not belong together.
    #[error("the CA's key and certificates cannot be used")]
    Authority(#[from] AuthorityError),
}

impl CaDirectory {
    /// Names a directory; nothing is touched yet.
    pub fn new(dir: impl Into<PathBuf>, passphrase: Option<Passphrase>) -> Self {
        let dir = dir.into();
        Self { keys: KeyStore::new(dir.join("keys"), passphrase), dir }
    }

    /// Has a token hold the intermediate's key instead of a file.
    #[must_use]
    pub fn with_intermediate_in(mut self, place: TokenPlace) -> Self {
        self.keys.hold_in_token(INTERMEDIATE_KEY, place);
        self
    }

    /// Has a token hold the root's key instead of a file.
    #[must_use]
    pub fn with_root_in(mut self, place: TokenPlace) -> Self {
        self.keys.hold_in_token(ROOT_KEY, place);
        self
    }

    /// Opens the issuing CA.
    ///
    /// # Errors
    /// When a file is missing, damaged, too open, or does not belong to the others.
    pub fn open(&self) -> Result<Authority, CaDirectoryError> {
        let (chain, roots) = (self.read(INTERMEDIATE_PEM)?, self.read(ROOT_PEM)?);
        let mut authority = Authority::new(self.keys.load(INTERMEDIATE_KEY)?, &chain, &roots)?;
        for name in self.alternates()? {
            authority.add_alternate(&self.read(&name)?).map_err(self.in_alternate(&name))?;
        }
        Ok(authority)
    }

    /// The common names of the roots that the issuing CA's chains lead to, the default one first. Needs no key.
    ///
    /// # Errors
    /// When a file is missing or damaged, or a chain is not for the CA's key.
    pub fn root_names(&self) -> Result<Vec<String>, CaDirectoryError> {
        let parse = |ders: Vec<Vec<u8>>| {
            let certificates = ders.iter().map(|der| CaCertificate::from_der(der));
            certificates.collect::<Result<Vec<_>, _>>().map_err(AuthorityError::from)
        };
        let (chain, roots) = (parse(self.read(INTERMEDIATE_PEM)?)?, parse(self.read(ROOT_PEM)?)?);
        let own = chain.first().ok_or(AuthorityError::NoCertificate)?.clone();
        let mut chains = vec![Chain::default_of(&own, chain, &roots)];
        for name in self.alternates()? {
            let alternate = parse(self.read(&name)?)
                .and_then(|chain| Chain::alternate(&own, chain).map_err(AuthorityError::from));
            chains.push(alternate.map_err(self.in_alternate(&name))?);
        }
        Ok(chains.iter().map(|chain| chain.root_name().to_owned()).collect())
    }

    /// The files with alternate chains, by name.
    fn alternates(&self) -> Result<Vec<String>, CaDirectoryError> {
        let dir = self.dir.join(ALTERNATES);
        let entries = match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            entries => entries.map_err(at(&dir))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(at(&dir))?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".pem") {
                names.push(format!("{ALTERNATES}/{name}"));
            }
        }
        names.sort();
        Ok(names)
    }

    fn in_alternate(&self, name: &str) -> impl FnOnce(AuthorityError) -> CaDirectoryError + use<> {
        let path = self.dir.join(name);
        |source| CaDirectoryError::Alternate { path, source }
    }

    /// Opens the root, to sign an intermediate or a CRL with it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the root's key is kept elsewhere.
    pub fn open_root(&self) -> Result<Authority, CaDirectoryError> {
        if !self.keys.contains(ROOT_KEY)? {
            return Err(CaDirectoryError::RootElsewhere);
        }
        let key = self.keys.load(ROOT_KEY)?;
        let roots = self.read(ROOT_PEM)?;
        let spki = key.spki();
        let is_own = |der: &&Vec<u8>| {
            CaCertificate::from_der(der).is_ok_and(|certificate| certificate.spki() == spki)
        };
        let own = roots.iter().find(is_own).cloned().into_iter().collect::<Vec<_>>();
        Ok(Authority::new(key, &own, &roots)?)
    }

    fn key(&self, name: &str, choice: KeyChoice) -> Result<CaKey, CaDirectoryError> {
        if !self.keys.contains(name)? {
            return Ok(self.keys.create(name, choice.algorithm())?);
        }
        let key = self.keys.load(name)?;
        let kind = key.algorithm();
        if choice.permits(kind) {
            Ok(key)
        } else {
            Err(CaDirectoryError::OtherKind { path: self.keys.path(name), kind })
        }
    }

    fn exists(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    fn refuse_existing(&self, name: &str) -> Result<(), CaDirectoryError> {
        if self.exists(name) {
            Err(CaDirectoryError::AlreadyExists(self.dir.join(name)))
        } else {
            Ok(())
        }
    }

    fn lock(&self) -> Result<File, CaDirectoryError> {
        durable::create_directory(&self.dir, Access::Everybody)
            .and_then(|()| durable::lock(&self.dir.join(".lock")))
            .map_err(at(&self.dir))
    }

    fn read(&self, name: &str) -> Result<Vec<Vec<u8>>, CaDirectoryError> {
        let path = self.dir.join(name);
        let contents = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CaDirectoryError::NotFound(path));
            }
            opened => opened.and_then(|file| durable::read_bounded(&file, MAX_PEM_BYTES)),
        };
        let contents = contents.map_err(at(&path))?;
        parse_certificates(&String::from_utf8_lossy(&contents))
            .map_err(|source| CaDirectoryError::NotPem { path, source })
    }

    fn replace(&self, name: &str, pem: &str) -> Result<(), CaDirectoryError> {
        let path = self.dir.join(name);
        durable::replace(&path, pem.as_bytes(), Access::Everybody).map_err(at(&path))
    }
}

fn encode(certificates: &[Vec<u8>]) -> String {
    encode_certificates(certificates.iter().map(Vec::as_slice))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CaDirectoryError + use<> {
    let path = path.to_owned();
    |source| CaDirectoryError::Io { path, source }
}
