//! The CA in the data directory: opened, and made at the first start.

use std::path::{Path, PathBuf};

use ca::{
    Authority, CaDirectory, CaDirectoryError, CaRequest, CaSubject, KeyAlgorithm, KeyChoice,
    Passphrase,
};
use domain::{IssuerName, Timestamp};
use runtime::{Config, config::CaKeyType};
use signer::Authorities;

use crate::{
    failure::{Explain as _, Failure},
    files::read_line,
    token,
};

const ADVICE: &str = "The CA is in ca/ of data_dir, in files that belong to the server's user; `certmill ca show` lists them. \
    If its keys are encrypted, set ca.passphrase_file or ca.passphrase.";
const OTHER_ROOT_ADVICE: &str = "It stays, because issued certificates lead to it. To add another one, \
    name a [[ca.issuer]] in the configuration and run `certmill ca --issuer NAME root`.";
const OTHER_INTERMEDIATE_ADVICE: &str = "It stays, because issued certificates lead to it. To add another one, \
    name a [[ca.issuer]] in the configuration and run `certmill ca --issuer NAME intermediate`. To renew \
    this one, have the root sign what `certmill ca request` prints, and run `certmill ca install FILE`.";
const PASSPHRASE_ADVICE: &str =
    "Set ca.passphrase_file to a file with the passphrase that this user can read.";

/// Where the CA's files are.
pub(crate) fn path(config: &Config) -> PathBuf {
    config.data_dir.join("ca")
}

/// Where an issuer's files are: those of the name, or without one the CA's own.
pub(crate) fn path_of(config: &Config, issuer: Option<&IssuerName>) -> PathBuf {
    let ca = path(config);
    issuer.map_or(ca.clone(), |name| ca.join("issuers").join(name.as_str()))
}

/// An issuer's directory, with the passphrase of its keys and those that are in a token.
///
/// # Errors
/// When the file of the passphrase or of the PIN cannot be read.
pub(crate) fn directory(
    config: &Config,
    issuer: Option<&IssuerName>,
) -> Result<CaDirectory, Failure> {
    token::over(CaDirectory::new(path_of(config, issuer), passphrase(config)?), config, issuer)
}

/// Whether there is a CA, or one waits for its certificate; else the next start makes one.
pub(crate) fn is_begun(config: &Config) -> bool {
    let files = ["root.pem", "intermediate.pem", "intermediate.csr"];
    files.iter().any(|file| path(config).join(file).exists())
}

/// Opens every issuing CA, after making what is missing of them as `[ca]` says. A start that was cut short is completed.
///
/// # Errors
/// When one cannot be opened or made, or waits for its certificate.
pub(crate) fn open_or_create(config: &Config, now: Timestamp) -> Result<Authorities, Failure> {
    let mut authorities = Authorities::from(open_or_create_one(config, None, now)?);
    for name in config.ca.issuer_names() {
        authorities.add(name.clone(), open_or_create_one(config, Some(name), now)?);
    }
    for issuer in issuers(config) {
        if let Some(there) = root_names(config, issuer)? {
            config.check_roots(issuer, &there)?;
        }
    }
    Ok(authorities)
}

/// Every issuing CA, that of `[ca]` first, which has no name.
pub(crate) fn issuers(config: &Config) -> impl Iterator<Item = Option<&IssuerName>> {
    std::iter::once(None).chain(config.ca.issuer_names().map(Some))
}

/// The roots that an issuer's chains lead to; `None` before its first start.
///
/// # Errors
/// When its files cannot be used.
pub(crate) fn root_names(
    config: &Config,
    issuer: Option<&IssuerName>,
) -> Result<Option<Vec<String>>, Failure> {
    let dir = path_of(config, issuer);
    if !dir.join("intermediate.pem").exists() {
        return Ok(None);
    }
    let names = CaDirectory::new(&dir, None).root_names();
    names
        .map(Some)
        .while_doing(format_args!("cannot open the CA in {}", dir.display()))
        .advise(ADVICE)
}

fn open_or_create_one(
    config: &Config,
    issuer: Option<&IssuerName>,
    now: Timestamp,
) -> Result<Authority, Failure> {
    let (ca, dir) = (directory(config, issuer)?, path_of(config, issuer));
    if !dir.join("intermediate.pem").exists() {
        check_for_request(&dir, issuer)?;
        let created = create(config, issuer, now);
        // What is there by now was made by another process.
        if !dir.join("intermediate.pem").exists() {
            created
                .while_doing(format_args!("cannot make the CA in {}", dir.display()))
                .advise(advice(config))?;
        }
    }
    let opened = ca.open().while_doing(format_args!("cannot open the CA in {}", dir.display()));
    opened.advise(advice(config))
}

/// Says what to do about an intermediate that was requested and has no certificate yet.
///
/// # Errors
/// When there is one.
pub(crate) fn check_for_request(dir: &Path, issuer: Option<&IssuerName>) -> Result<(), Failure> {
    let request = dir.join("intermediate.csr");
    if !request.exists() {
        return Ok(());
    }
    Err(Failure::new("the intermediate waits for its certificate")).advise(format!(
        "Have the root sign {}, then run `certmill ca install FILE{}`.",
        request.display(),
        option(issuer)
    ))
}

fn advice(config: &Config) -> String {
    match config.ca.uses_token() {
        true => format!("{ADVICE} {}", token::ADVICE),
        false => ADVICE.to_owned(),
    }
}

/// How commands are told of an issuer.
fn option(issuer: Option<&IssuerName>) -> String {
    issuer.map_or(String::new(), |name| format!(" --issuer {name}"))
}

fn create(config: &Config, issuer: Option<&IssuerName>, now: Timestamp) -> Result<(), Failure> {
    if issuer.is_none() && !path(config).join("root.pem").exists() {
        let root = root_request(config, now);
        match directory(config, None)?.create_root(key_algorithm(config, None), &root) {
            // Made by another process meanwhile, which may not have come to the intermediate yet.
            Ok(_) | Err(CaDirectoryError::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let key = key_algorithm(config, issuer).into();
    create_intermediate(config, issuer, key, &intermediate_request(config, issuer, now))
}

/// Creates an issuer's root.
///
/// # Errors
/// When there is one, or files cannot be written.
pub(crate) fn create_root(
    config: &Config,
    issuer: Option<&IssuerName>,
    key: KeyChoice,
    request: &CaRequest,
) -> Result<(), Failure> {
    created(directory(config, issuer)?.create_root(key, request), OTHER_ROOT_ADVICE)
}

/// Creates an issuer's intermediate: below the root whose key is in its directory, else below that of `[ca]`.
///
/// # Errors
/// When there is one, no root's key is here, or files cannot be written.
pub(crate) fn create_intermediate(
    config: &Config,
    issuer: Option<&IssuerName>,
    key: KeyChoice,
    request: &CaRequest,
) -> Result<(), Failure> {
    let ca = directory(config, issuer)?;
    if issuer.is_none() || path_of(config, issuer).join("keys/root.key").exists() {
        created(ca.create_intermediate(key, request), OTHER_INTERMEDIATE_ADVICE)
    } else {
        let root = directory(config, None)?.open_root()?;
        let below = ca.create_intermediate_below(&root, key, request);
        created(below, OTHER_INTERMEDIATE_ADVICE)
    }
}

/// Says what to do where there is one already.
fn created(outcome: Result<Authority, CaDirectoryError>, advice: &str) -> Result<(), Failure> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error @ CaDirectoryError::AlreadyExists(_)) => Err(error).advise(advice),
        Err(error) => Err(error.into()),
    }
}

/// The kind of key `[ca]` asks for.
pub(crate) fn key_algorithm(config: &Config, issuer: Option<&IssuerName>) -> KeyAlgorithm {
    match config.ca.of(issuer).key_type {
        CaKeyType::P256 => KeyAlgorithm::EcdsaP256,
        CaKeyType::P384 => KeyAlgorithm::EcdsaP384,
        CaKeyType::Ed25519 => KeyAlgorithm::Ed25519,
    }
}

/// The root `[ca]` asks for.
pub(crate) fn root_request(config: &Config, now: Timestamp) -> CaRequest {
    let subject = named(&config.ca.root_name);
    let validity = config.ca.root_validity.get();
    CaRequest { subject, extended_key_usages: Vec::new(), validity, now }
}

/// The intermediate `[ca]` asks for, which is also for what the profiles that use it are for.
pub(crate) fn intermediate_request(
    config: &Config,
    issuer: Option<&IssuerName>,
    now: Timestamp,
) -> CaRequest {
    let ca = config.ca.of(issuer);
    let subject = named(&ca.intermediate_name);
    let its = config.profiles.iter().filter(|profile| profile.issuer.as_ref() == issuer);
    let extended_key_usages = its.flat_map(signer::extended_key_usages).collect();
    CaRequest { subject, extended_key_usages, validity: ca.intermediate_validity.get(), now }
}

fn named(common_name: &str) -> CaSubject {
    CaSubject { common_name: common_name.to_owned(), organization: None, country: None }
}

fn passphrase(config: &Config) -> Result<Option<Passphrase>, Failure> {
    if let Some(secret) = &config.ca.passphrase {
        return Ok(Some(Passphrase::from(secret.expose().to_owned())));
    }
    let Some(path) = &config.ca.passphrase_file else { return Ok(None) };
    let doing = format!("ca.passphrase_file: cannot use {}", path.display());
    let text = read_line(path).while_doing(&doing).advise(PASSPHRASE_ADVICE)?;
    if text.is_empty() {
        // Encrypted with it, keys would look protected and not be.
        return Err(Failure::new("the passphrase is empty")
            .while_doing(&doing)
            .advise(PASSPHRASE_ADVICE));
    }
    Ok(Some(Passphrase::from(text)))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, DirBuilder},
        os::unix::fs::DirBuilderExt as _,
        path::Path,
    };

    use super::*;
    use crate::fixtures::config;

    #[test]
    fn the_first_start_makes_the_ca_of_the_configuration_and_later_ones_open_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &["ca.key_type=ed25519", "ca.intermediate_name=Issuing X"]);
        let made = open_or_create_one(&config, None, clock()).unwrap();
        assert_eq!(made.key().algorithm(), KeyAlgorithm::Ed25519);
        assert!(made.certificate().subject().windows(9).any(|part| part == b"Issuing X"));
        let opened = open_or_create_one(&config, None, clock()).unwrap();
        assert_eq!(opened.certificate(), made.certificate());
    }

    #[test]
    fn a_first_start_cut_short_after_any_file_is_completed() {
        let whole = tempfile::tempdir().unwrap();
        open_or_create(&config(whole.path(), &[]), clock()).unwrap();
        let in_order = ["keys/root.key", "root.pem", "keys/intermediate.key", "intermediate.pem"];
        for written in 0..=in_order.len() {
            let dir = tempfile::tempdir().unwrap();
            let config = config(dir.path(), &[]);
            let keys = path(&config).join("keys");
            DirBuilder::new().recursive(true).mode(0o700).create(keys).unwrap();
            let read = |dir: &Path, file: &str| fs::read(dir.join("ca").join(file)).unwrap();
            for file in &in_order[..written] {
                fs::copy(whole.path().join("ca").join(file), path(&config).join(file)).unwrap();
            }
            open_or_create(&config, clock()).unwrap();
            for file in &in_order[..written] {
                assert_eq!(
                    read(dir.path(), file),
                    read(whole.path(), file),
                    "{file} after {written}"
                );
            }
        }
    }

    #[test]
    fn sixteen_first_starts_at_once_make_one_ca() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[]);
        let start = || open_or_create_one(&config, None, clock()).unwrap().certificate().clone();
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn an_intermediate_that_was_requested_is_not_made_here() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[]);
        let request = intermediate_request(&config, None, clock());
        directory(&config, None)
            .unwrap()
            .request_intermediate(KeyAlgorithm::EcdsaP256, &request)
            .unwrap();
        let failure = open_or_create(&config, clock()).unwrap_err();
        assert!(failure.to_string().contains("certmill ca install"), "{failure}");
        assert!(!path(&config).join("root.pem").exists());
    }

    #[test]
    fn who_asks_for_what_is_there_hears_how_to_have_another_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[]);
        open_or_create(&config, clock()).unwrap();
        let algorithm = key_algorithm(&config, None);
        let root = create_root(&config, None, algorithm.into(), &root_request(&config, clock()));
        let request = intermediate_request(&config, None, clock());
        let intermediate = create_intermediate(&config, None, algorithm.into(), &request);
        for (refused, advised) in [
            (root, "certmill ca --issuer NAME root"),
            (intermediate, "certmill ca --issuer NAME intermediate"),
        ] {
            let failure = refused.unwrap_err().to_string();
            assert!(failure.contains("exists already"), "{failure}");
            assert!(failure.contains(advised), "{failure}");
        }
    }

    #[test]
    fn another_issuer_is_made_below_the_root_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[r#"ca.issuer=[{name="second", key_type="p384"}]"#]);
        open_or_create(&config, clock()).unwrap();
        let name: IssuerName = "second".parse().unwrap();
        let first = open_or_create_one(&config, None, clock()).unwrap();
        let second = open_or_create_one(&config, Some(&name), clock()).unwrap();
        assert_eq!(second.key().algorithm(), KeyAlgorithm::EcdsaP384);
        assert_eq!(first.roots().collect::<Vec<_>>(), second.roots().collect::<Vec<_>>());
        let subject = String::from_utf8_lossy(second.certificate().subject()).into_owned();
        assert!(subject.ends_with("Certmill Intermediate second"), "{subject}");

        // A start that is cut short before its last file is completed, with the same key.
        std::fs::remove_file(path_of(&config, Some(&name)).join("intermediate.pem")).unwrap();
        let completed = open_or_create_one(&config, Some(&name), clock()).unwrap();
        assert_eq!(completed.id(), second.id());
    }

    #[test]
    fn an_empty_passphrase_protects_nothing_and_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passphrase");
        std::fs::write(&file, "\n").unwrap();
        let set = format!("ca.passphrase_file={}", file.display());
        let failure = open_or_create(&config(dir.path(), &[&set]), clock()).unwrap_err();
        let failure = failure.to_string();
        assert!(failure.contains("ca.passphrase_file: cannot use"), "{failure}");
        assert!(failure.contains("the passphrase is empty"), "{failure}");
        assert!(!dir.path().join("ca").exists());
    }

    fn clock() -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000)
    }
}
