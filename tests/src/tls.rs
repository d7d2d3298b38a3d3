//! Server certificates for nodes that have no signer to issue them one.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A certificate for `localhost` and its key, as files.
#[derive(Clone, Debug)]
pub(crate) struct ServerCertificate {
    /// The certificate in PEM, which is also what clients trust.
    pub(crate) chain: PathBuf,
    /// Its key in PEM.
    pub(crate) key: PathBuf,
}

/// What the files lead through, and is replaced at one blow.
const CURRENT: &str = "..data";

impl ServerCertificate {
    /// Makes a self-signed certificate in a directory, in place of the one that is there: as in a mounted secret, the
    /// files are links through one that leads to the newest.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let newest = TempDir::with_prefix_in("..", directory)?.keep();
        std::fs::write(newest.join("tls.pem"), made.cert.pem())?;
        std::fs::write(newest.join("tls.key"), made.signing_key.serialize_pem())?;
        let next = directory.join("..data_tmp");
        symlink(newest.file_name().unwrap_or_default(), &next)?;
        std::fs::rename(next, directory.join(CURRENT))?;
        let certificate = Self { chain: directory.join("tls.pem"), key: directory.join("tls.key") };
        for file in [&certificate.chain, &certificate.key] {
            let name = file.file_name().unwrap_or_default();
            if !file.is_symlink() {
                symlink(Path::new(CURRENT).join(name), file)?;
            }
        }
        Ok(certificate)
    }
}
