//! Server certificates for nodes that have no signer to issue them one.

use std::path::{Path, PathBuf};

/// A certificate for `localhost` and its key, as files.
#[derive(Clone, Debug)]
pub(crate) struct ServerCertificate {
    /// The certificate in PEM, which is also what clients trust.
    pub(crate) chain: PathBuf,
    /// Its key in PEM.
    pub(crate) key: PathBuf,
}

impl ServerCertificate {
    /// Makes a self-signed certificate in a directory.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = Self { chain: directory.join("tls.pem"), key: directory.join("tls.key") };
        std::fs::write(&certificate.chain, made.cert.pem())?;
        std::fs::write(&certificate.key, made.signing_key.serialize_pem())?;
        Ok(certificate)
    }
}
