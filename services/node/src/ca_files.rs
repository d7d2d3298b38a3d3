//! The CA in the data directory: opened, and made at the first start.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use ca::{
    Authority, CaDirectory, CaDirectoryError, CaRequest, CaSubject, KeyAlgorithm, Passphrase,
};
use domain::Timestamp;
use runtime::{Config, config::CaKeyType};

use crate::failure::{Explain as _, Failure};

/// The longest passphrase file.
const MAX_PASSPHRASE_BYTES: u64 = 4096;

const ADVICE: &str = "The CA is in ca/ of data_dir; `certmill ca show` tells what is there.";

/// Where the CA's files are.
pub(crate) fn path(config: &Config) -> PathBuf {
    config.data_dir.join("ca")
}

/// The CA's directory, with the passphrase of its keys.
///
/// # Errors
/// When the passphrase file cannot be read.
pub(crate) fn directory(config: &Config) -> Result<CaDirectory, Failure> {
    Ok(CaDirectory::new(path(config), passphrase(config)?))
}

/// Opens the issuing CA, after making what is missing of it as `[ca]` says. A start that was cut short is completed.
///
/// # Errors
/// When it cannot be opened or made, or waits for its certificate.
pub(crate) fn open_or_create(config: &Config, now: Timestamp) -> Result<Authority, Failure> {
    let ca = directory(config)?;
    let dir = path(config);
    if !dir.join("intermediate.pem").exists() {
        if dir.join("intermediate.csr").exists() {
            return Err(Failure::new("the intermediate waits for its certificate")).advise(
                "Have the root sign ca/intermediate.csr of data_dir, then run `certmill ca install FILE`.",
            );
        }
        create(config, &ca, now).while_doing("cannot make the CA").advise(ADVICE)?;
    }
    ca.open().while_doing("cannot open the CA").advise(ADVICE)
}

fn create(config: &Config, ca: &CaDirectory, now: Timestamp) -> Result<(), CaDirectoryError> {
    let algorithm = key_algorithm(config);
    let root = root_request(config, now);
    unless_there(ca.create_root(algorithm, &root))?;
    unless_there(ca.create_intermediate(algorithm, &intermediate_request(config, now)))
}

/// What is there already was made before a crash, or by another process just now.
fn unless_there(made: Result<Authority, CaDirectoryError>) -> Result<(), CaDirectoryError> {
    match made {
        Ok(_) | Err(CaDirectoryError::AlreadyExists(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The kind of key `[ca]` asks for.
pub(crate) fn key_algorithm(config: &Config) -> KeyAlgorithm {
    match config.ca.key_type {
        CaKeyType::P256 => KeyAlgorithm::EcdsaP256,
        CaKeyType::P384 => KeyAlgorithm::EcdsaP384,
        CaKeyType::Ed25519 => KeyAlgorithm::Ed25519,
    }
}

/// The root `[ca]` asks for.
pub(crate) fn root_request(config: &Config, now: Timestamp) -> CaRequest {
    let subject = named(&config.ca.root_name);
    CaRequest { subject, validity: config.ca.root_validity.get(), now }
}

/// The intermediate `[ca]` asks for.
pub(crate) fn intermediate_request(config: &Config, now: Timestamp) -> CaRequest {
    let subject = named(&config.ca.intermediate_name);
    CaRequest { subject, validity: config.ca.intermediate_validity.get(), now }
}

fn named(common_name: &str) -> CaSubject {
    CaSubject { common_name: common_name.to_owned(), organization: None, country: None }
}

fn passphrase(config: &Config) -> Result<Option<Passphrase>, Failure> {
    if let Some(secret) = &config.ca.passphrase {
        return Ok(Some(Passphrase::from(secret.expose().to_owned())));
    }
    let Some(path) = &config.ca.passphrase_file else { return Ok(None) };
    let text = read_line(path)
        .while_doing(format_args!("cannot read {}", path.display()))
        .advise("Set ca.passphrase_file to a file with the passphrase that this user can read.")?;
    Ok(Some(Passphrase::from(text)))
}

fn read_line(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_PASSPHRASE_BYTES).read_to_string(&mut text)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Reads a PEM text an operator hands over: a file, or standard input for `-`.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_input(path: &Path) -> Result<String, Failure> {
    const MAX_BYTES: u64 = 1024 * 1024;
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
    };
    read.while_doing(format_args!("cannot read {}", path.display()))?;
    Ok(text)
}

/// The absolute form of a path that is shown to people.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::config;

    #[test]
    fn the_first_start_makes_the_ca_of_the_configuration_and_later_ones_open_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &["ca.key_type=ed25519", "ca.intermediate_name=Issuing X"]);
        let made = open_or_create(&config, clock()).unwrap();
        assert_eq!(made.key().algorithm(), KeyAlgorithm::Ed25519);
        assert!(made.certificate().subject().windows(9).any(|part| part == b"Issuing X"));
        let opened = open_or_create(&config, clock()).unwrap();
        assert_eq!(opened.certificate(), made.certificate());
    }

    #[test]
    fn an_intermediate_that_was_requested_is_not_made_here() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[]);
        let subject = intermediate_request(&config, clock()).subject;
        directory(&config)
            .unwrap()
            .request_intermediate(KeyAlgorithm::EcdsaP256, &subject)
            .unwrap();
        let failure = open_or_create(&config, clock()).unwrap_err();
        assert!(failure.to_string().contains("certmill ca install"), "{failure}");
        assert!(!path(&config).join("root.pem").exists());
    }

    #[test]
    fn a_passphrase_file_loses_its_last_line_end_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passphrase");
        std::fs::write(&file, "pass phrase \n").unwrap();
        assert_eq!(read_line(&file).unwrap(), "pass phrase ");
    }

    fn clock() -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000)
    }
}
