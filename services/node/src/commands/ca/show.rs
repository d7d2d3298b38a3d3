//! `certmill ca show`: the CA's certificates as they are on disk; needs no passphrase, and no token.

use std::{
    io,
    path::{Path, PathBuf},
};

use ca::CaCertificate;
use domain::{IssuerId, IssuerName, Timestamp};
use runtime::Config;
use rustls_pki_types::{CertificateDer, pem, pem::PemObject as _};
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    ca_files,
    failure::{Explain as _, Failure},
    files,
    output::{Format, Output},
    token,
};

/// What signs with the first certificate of a file.
struct Key {
    file: PathBuf,
    label_in_token: Option<String>,
}

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
    /// Whether a private key of this kind is in the directory.
    key_is_here: bool,
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
    let dir = files::absolute(&ca_files::path_of(config, issuer));
    let (root, intermediate) = token::key_labels(config, issuer);
    let mut shown = Vec::new();
    for (name, label_in_token) in [("root", root), ("intermediate", intermediate)] {
        let path = dir.join(format!("{name}.pem"));
        let key = Key { file: dir.join(format!("keys/{name}.key")), label_in_token };
        for certificate in read(&path)? {
            shown.push(describe(&certificate, &path, &key)?);
        }
    }
    if shown.is_empty() {
        ca_files::check_for_request(&dir, issuer)?;
        return Err(Failure::new(format!("there is no CA certificate in {}", dir.display())))
            .advise(
                "The signer makes a CA when it first starts, or make one with `certmill ca root`.",
            );
    }
    match out.format() {
        Format::Json => shown.iter().try_for_each(|certificate| out.json(certificate)),
        Format::Text => shown.iter().try_for_each(|certificate| print(certificate, out)),
    }
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match certificates {
        Err(pem::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.while_doing(format_args!("cannot read {}", path.display())),
    }
}

fn describe(der: &[u8], file: &Path, key: &Key) -> Result<Shown, Failure> {
    let certificate = CaCertificate::from_der(der)?;
    let (_, parsed) = X509Certificate::from_der(der)?;
    Ok(Shown {
        file: file.to_owned(),
        subject: parsed.subject().to_string(),
        serial: parsed.raw_serial_as_string(),
        id: certificate.issuer_id(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        key_is_here: key.label_in_token.is_none() && key.file.exists(),
        key_in_token: key.label_in_token.clone(),
    })
}

fn print(certificate: &Shown, out: &mut Output) -> Result<(), Failure> {
    out.line(format_args!("{}", certificate.subject))?;
    out.line(format_args!("  file    {}", certificate.file.display()))?;
    out.line(format_args!("  valid   {} to {}", certificate.not_before, certificate.not_after))?;
    out.line(format_args!("  id      {}", certificate.id))?;
    out.line(format_args!("  serial  {}", certificate.serial))?;
    match &certificate.key_in_token {
        Some(label) => out.line(format_args!("  key     {label:?} in the token")),
        None if certificate.key_is_here => out.line("  key     in this directory"),
        None => out.line("  key     kept elsewhere"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

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
