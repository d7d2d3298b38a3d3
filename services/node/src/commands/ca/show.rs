//! `certmill ca show`: the CA's certificates as they are on disk; needs no passphrase, and no token.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use ca::{CaCertificate, KeyStore, Protection};
use domain::{IssuerId, IssuerName, Timestamp};
use runtime::Config;
use rustls_pki_types::{CertificateDer, pem, pem::PemObject as _};
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    ca_files, clock,
    failure::{Explain as _, Failure},
    files,
    output::{Format, Output},
    token,
};

/// One certificate of the CA.
#[derive(Serialize)]
struct Shown {
    file: PathBuf,
    subject: String,
    serial: String,
    /// The id under which certificates and CRLs of its key are kept.
    id: IssuerId,
    not_before: Timestamp,
    not_after: Timestamp,
    #[serde(flatten)]
    key: Key,
}

/// Where the private key of a certificate is.
#[derive(Default, Serialize)]
struct Key {
    /// Whether it is a file in the directory.
    key_is_here: bool,
    /// Whether that is encrypted with a passphrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_encrypted: Option<bool>,
    /// Why that is no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_problem: Option<String>,
    /// The label under which it is in the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_in_token: Option<String>,
}

/// Shows every certificate of an issuer.
pub(super) fn run(
    config: &Config,
    issuer: Option<&IssuerName>,
    out: &mut Output,
) -> Result<(), Failure> {
    let shown = gather(config, issuer)?;
    match out.format() {
        Format::Json => shown.iter().try_for_each(|certificate| out.json(certificate)),
        Format::Text => shown.iter().try_for_each(|certificate| print(certificate, out)),
    }
}

/// The root's certificate: a container has no other tool that could read it.
#[derive(Serialize)]
struct Root {
    root: String,
}

/// Prints the root of an issuer, as PEM.
pub(super) fn root(
    config: &Config,
    issuer: Option<&IssuerName>,
    out: &mut Output,
) -> Result<(), Failure> {
    let root = root_of(config, issuer)?;
    match out.format() {
        Format::Json => out.json(&Root { root }),
        Format::Text => out.line(root.trim_end()),
    }
}

fn root_of(config: &Config, issuer: Option<&IssuerName>) -> Result<String, Failure> {
    let path = root_file(&files::absolute(&ca_files::path_of(config, issuer)));
    if read(&path)?.is_empty() {
        gather(config, issuer)?;
        return Err(Failure::new(format!("there is no root in {}", path.display())))
            .advise("Install it with the intermediate's certificate by `certmill ca install`.");
    }
    Ok(fs::read_to_string(path)?)
}

fn root_file(dir: &Path) -> PathBuf {
    dir.join("root.pem")
}

/// Every certificate of an issuer, at least one.
fn gather(config: &Config, issuer: Option<&IssuerName>) -> Result<Vec<Shown>, Failure> {
    let dir = files::absolute(&ca_files::path_of(config, issuer));
    let (root, intermediate) = token::key_labels(config, issuer);
    let mut shown = Vec::new();
    for (name, label_in_token) in [("root", root), ("intermediate", intermediate)] {
        let path = dir.join(format!("{name}.pem"));
        // Those that follow are other CAs', whose keys are not here.
        let mut key = Some(key(&dir, name, label_in_token));
        for certificate in read(&path)? {
            shown.push(describe(&certificate, &path, key.take().unwrap_or_default())?);
        }
    }
    if shown.is_empty() {
        ca_files::check_for_request(&dir, issuer)?;
        let make = match issuer {
            Some(name) => format!("certmill ca --issuer {name} intermediate"),
            None => "certmill ca root".to_owned(),
        };
        return Err(Failure::new(format!("there is no CA certificate in {}", dir.display())))
            .advise(format!(
                "The signer makes a CA when it first starts, or make one with `{make}`."
            ));
    }
    Ok(shown)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match certificates {
        Err(pem::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.while_doing(format_args!("cannot read {}", path.display())),
    }
}

/// Looks where the key of the first certificate of a file is.
fn key(dir: &Path, name: &str, label_in_token: Option<String>) -> Key {
    if label_in_token.is_some() {
        return Key { key_in_token: label_in_token, ..Key::default() };
    }
    match KeyStore::new(dir.join("keys"), None).protection(&format!("{name}.key")) {
        Ok(None) => Key::default(),
        Ok(Some(protection)) => Key {
            key_is_here: true,
            key_encrypted: Some(protection == Protection::Passphrase),
            ..Key::default()
        },
        Err(error) => Key {
            key_is_here: true,
            key_problem: Some(Failure::from(error).to_string()),
            ..Key::default()
        },
    }
}

fn describe(der: &[u8], file: &Path, key: Key) -> Result<Shown, Failure> {
    let certificate = CaCertificate::from_der(der)?;
    let (_, parsed) = X509Certificate::from_der(der)?;
    Ok(Shown {
        file: file.to_owned(),
        subject: parsed.subject().to_string(),
        serial: parsed.raw_serial_as_string(),
        id: certificate.issuer_id(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        key,
    })
}

fn print(certificate: &Shown, out: &mut Output) -> Result<(), Failure> {
    out.line(format_args!("{}", certificate.subject))?;
    out.line(format_args!("  file    {}", certificate.file.display()))?;
    out.line(format_args!("  valid   {}", certificate.validity(clock::now())))?;
    out.line(format_args!("  id      {}", certificate.id))?;
    out.line(format_args!("  serial  {}", certificate.serial))?;
    out.line(format_args!("  key     {}", certificate.key))
}

impl Shown {
    fn validity(&self, now: Timestamp) -> String {
        let Self { not_before, not_after, .. } = self;
        let doubt = if now < *not_before {
            ", not yet"
        } else if now > *not_after {
            ", it has ended"
        } else {
            ""
        };
        format!("{not_before} to {not_after}{doubt}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key_in_token, &self.key_problem, self.key_encrypted) {
            (Some(label), _, _) => write!(f, "{label:?} in the PKCS#11 token"),
            (None, Some(problem), _) => write!(f, "in this directory, unusable: {problem}"),
            (None, None, Some(true)) => {
                f.write_str("in this directory, encrypted with a passphrase")
            }
            (None, None, Some(false)) => f.write_str("in this directory, not encrypted"),
            (None, None, None) => f.write_str("kept elsewhere"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn what_protects_a_key_is_told_to_people_and_programs() {
        let shown = |sets: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            let config = fixtures::config(dir.path(), sets);
            ca_files::open_or_create(&config, clock::now()).unwrap();
            let key = key(&ca_files::path(&config), "root", None);
            (key.to_string(), serde_json::to_value(&key).unwrap()["key_encrypted"].clone())
        };
        let (text, encrypted) = shown(&["ca.passphrase=secret"]);
        assert!(text.ends_with(", encrypted with a passphrase") && encrypted == true, "{text}");
        let (text, encrypted) = shown(&[]);
        assert!(text.ends_with(", not encrypted") && encrypted == false, "{text}");
    }

    #[test]
    fn who_asks_for_an_issuer_that_is_not_made_hears_how_to_make_that_one() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[r#"ca.issuer=[{name="next"}]"#]);
        let told = |issuer| gather(&config, issuer).err().unwrap().to_string();
        assert!(told(None).contains("`certmill ca root`"));
        let next = told(Some(&"next".parse().unwrap()));
        assert!(next.contains("`certmill ca --issuer next intermediate`"), "{next}");
    }

    #[test]
    fn the_root_is_printed_as_it_is_and_its_absence_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[]);
        let told = root_of(&config, None).unwrap_err().to_string();
        assert!(told.contains("certmill ca root"), "{told}");
        ca_files::open_or_create(&config, clock::now()).unwrap();
        let file = root_file(&ca_files::path(&config));
        assert_eq!(root_of(&config, None).unwrap(), fs::read_to_string(&file).unwrap());
        fs::remove_file(file).unwrap();
        let told = root_of(&config, None).unwrap_err().to_string();
        assert!(told.contains("there is no root"), "{told}");
    }

    #[test]
    fn what_is_not_valid_now_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[]);
        ca_files::open_or_create(&config, clock::now()).unwrap();
        let root = gather(&config, None).unwrap().swap_remove(0);
        let (from, until) = (root.not_before, root.not_after);
        let second = std::time::Duration::from_secs(1);
        for (now, doubt) in [
            (from.minus(second), ", not yet"),
            (from, ""),
            (until, ""),
            (until.plus(second), ", it has ended"),
        ] {
            assert_eq!(root.validity(now), format!("{from} to {until}{doubt}"));
        }
    }

    #[test]
    fn the_key_of_the_first_certificate_is_not_said_to_be_that_of_the_others() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = |dir: &Path| {
            let config = fixtures::config(dir, &[]);
            ca_files::open_or_create(&config, clock::now()).unwrap();
            ca_files::path(&config).join("root.pem")
        };
        let both = [root(dir.path()), root(other.path())];
        let both = both.map(|path| std::fs::read_to_string(path).unwrap()).concat();
        std::fs::write(dir.path().join("ca/root.pem"), both).unwrap();
        let shown = gather(&fixtures::config(dir.path(), &[]), None).unwrap();
        let here: Vec<bool> = shown.iter().map(|shown| shown.key.key_is_here).collect();
        assert_eq!(here, [true, false, true]);
    }

    #[test]
    fn a_file_that_is_no_key_is_shown_with_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("keys")).unwrap();
        std::fs::write(dir.path().join("keys/root.key"), "nothing").unwrap();
        let text = key(dir.path(), "root", None).to_string();
        assert!(text.contains("not a PEM private key"), "{text}");
    }

    #[test]
    fn that_there_is_no_ca_is_a_failure_for_people_and_programs_alike() {
        let dir = tempfile::tempdir().unwrap();
        for format in [Format::Text, Format::Json] {
            let config = fixtures::config(dir.path(), &[]);
            let failure = run(&config, None, &mut Output::new(format)).unwrap_err().to_string();
            assert!(failure.contains("certmill ca root"), "{failure}");
        }
    }

    #[test]
    fn that_an_intermediate_waits_for_its_certificate_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[]);
        let ca = ca_files::path_of(&config, None);
        std::fs::create_dir_all(&ca).unwrap();
        std::fs::write(ca.join("intermediate.csr"), "").unwrap();
        let failure = run(&config, None, &mut Output::new(Format::Text)).unwrap_err().to_string();
        assert!(failure.contains("certmill ca install"), "{failure}");
    }
}
