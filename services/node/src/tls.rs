//! The certificate the server shows: from files that others renew, or from the signer in this process.

mod doubts;

use std::{
    convert::Infallible,
    fs,
    path::{Display, Path, PathBuf},
    sync::Arc,
};

use runtime::{Config, Stop};
use rustls::{crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use signer::ServerCertificate;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    clock,
    failure::{Explain as _, Failure},
    watched_files::WatchedFiles,
};
use doubts::{doubts, measure};

/// Certificates that follow each other.
pub(crate) type Certificates = watch::Receiver<Arc<CertifiedKey>>;

/// The texts are no certificate and key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The text of the certificate is not the PEM it should be.
    #[error("the certificate is not PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// The text of the key is not the PEM it should be.
    #[error("there is no private key in the PEM that is not encrypted")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// There is no certificate.
    #[error("there is no certificate in the PEM")]
    NoCertificate,
    /// They cannot be used with each other.
    #[error("certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
    /// The program did not choose its cryptography, which is a fault of the program.
    #[error("no TLS provider is installed")]
    NoProvider,
}

/// The files of a certificate that comes from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// The host that clients connect to.
    host: String,
}

impl Files {
    /// The files the configuration names, if it names any.
    pub(crate) fn configured(config: &Config) -> Option<Self> {
        let (certificate, key) = (&config.api.tls_certificate, &config.api.tls_key);
        let host = config.api.base_url.host().to_owned();
        Some(Self { certificate: certificate.clone()?, key: key.clone()?, host })
    }

    /// Reads them.
    ///
    /// # Errors
    /// When they cannot be read or do not belong together.
    pub(crate) fn read(&self) -> Result<Arc<CertifiedKey>, Failure> {
        const ADVICE: &str = "Set api.tls_certificate and api.tls_key to PEM files this user can read: the server's \
            certificate with its chain, and its private key.";
        let text = |path: &Path| {
            fs::read_to_string(path)
                .while_doing(format_args!(
                    "the server's certificate: cannot read {}",
                    path.display()
                ))
                .advise(ADVICE)
        };
        certified_key(&text(&self.certificate)?, &text(&self.key)?).or_else(|error| {
            let doing = format!("the server's certificate: cannot use {}", self.blame(&error));
            Err(error).while_doing(doing).advise(ADVICE)
        })
    }

    /// The file to look at.
    fn blame(&self, error: &TlsError) -> Display<'_> {
        match error {
            TlsError::Key(_) => self.key.display(),
            TlsError::Pem(_)
            | TlsError::NoCertificate
            | TlsError::Unusable(_)
            | TlsError::NoProvider => self.certificate.display(),
        }
    }

    /// Reads them, and again whenever they change, until the stage stops.
    ///
    /// # Errors
    /// When they cannot be used now; later, the last good ones stay.
    pub(crate) fn watch(self, stop: &Stop) -> Result<Certificates, Failure> {
        let files = WatchedFiles::new(vec![self.certificate.clone(), self.key.clone()]);
        let first = self.read()?;
        self.look_at(&first);
        let (sender, certificates) = watch::channel(first);
        files.watch("TLS certificate files", stop, move || self.refresh(&sender));
        Ok(certificates)
    }

    fn refresh(&self, sender: &watch::Sender<Arc<CertifiedKey>>) -> Result<(), Failure> {
        let certificate = self.read()?;
        info!(file = %self.certificate.display(), "TLS certificate changed");
        self.look_at(&certificate);
        sender.send_replace(certificate);
        Ok(())
    }

    /// Warns of what clients will not like: they only say that they do not trust the server.
    fn look_at(&self, certificate: &CertifiedKey) {
        measure(certificate);
        let Some(own) = certificate.cert.first() else { return };
        for reason in doubts(own, &self.host, clock::now()) {
            let file = self.certificate.display();
            warn!(%file, reason, "clients will refuse the TLS certificate");
        }
    }
}

/// Takes the signer's certificate and those that follow it, until the stage stops.
///
/// # Errors
/// When the first cannot be used.
pub(crate) fn from_signer(
    mut issued: watch::Receiver<Arc<ServerCertificate>>,
    stop: &Stop,
) -> Result<Certificates, Failure> {
    let read = |issued: &ServerCertificate| certified_key(&issued.chain_pem, &issued.key_pem);
    let first = read(&issued.borrow_and_update())?;
    measure(&first);
    let (sender, certificates) = watch::channel(first);
    let stage = stop.clone();
    stop.spawn("TLS certificate", async move {
        loop {
            tokio::select! {
                changed = issued.changed() => if changed.is_err() { break },
                () = stage.requested() => break,
            }
            match read(&issued.borrow_and_update()) {
                Ok(certificate) => {
                    measure(&certificate);
                    sender.send_replace(certificate);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "renewed TLS certificate not used");
                }
            }
        }
        Ok::<_, Infallible>(())
    });
    Ok(certificates)
}

fn certified_key(chain_pem: &str, key_pem: &str) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(TlsError::Pem)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(TlsError::Key)?;
    let provider = CryptoProvider::get_default().ok_or(TlsError::NoProvider)?;
    CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(TlsError::Unusable)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::crypto::ring;

    use super::*;

    /// Certificate and key of a server.
    fn pair() -> (String, String) {
        let _ = ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn write(files: &Files, (certificate, key): &(String, String)) {
        fs::write(&files.certificate, certificate).unwrap();
        fs::write(&files.key, key).unwrap();
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        assert!(certified_key(&certificate, &key).is_ok());
        assert!(matches!(certified_key(&certificate, &other), Err(TlsError::Unusable(_))));
        assert!(matches!(certified_key("", &key), Err(TlsError::NoCertificate)));
        assert!(matches!(certified_key(&certificate, ""), Err(TlsError::Key(_))));
    }

    #[test]
    fn a_key_that_is_encrypted_is_refused_by_the_name_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
        let files = Files { certificate, key, host: "localhost".to_owned() };
        let (certificate, key) = pair();
        write(&files, &(certificate, key.replace("PRIVATE", "ENCRYPTED PRIVATE")));
        let failure = files.read().unwrap_err().to_string();
        assert!(failure.contains("cannot use") && failure.contains("tls.key: "), "{failure}");
        assert!(failure.contains("not encrypted"), "{failure}");
    }

    #[test]
    fn changed_files_are_read_again_and_unusable_ones_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
        let files = Files { certificate, key, host: "localhost".to_owned() };
        let (first, second) = (pair(), pair());
        write(&files, &first);
        let (sender, shown) = watch::channel(files.read().unwrap());
        let before = shown.borrow().cert.clone();

        fs::write(&files.key, &second.1).unwrap();
        assert!(files.refresh(&sender).is_err());
        assert_eq!(shown.borrow().cert, before);
        write(&files, &second);
        files.refresh(&sender).unwrap();
        assert_ne!(shown.borrow().cert, before);
    }

    #[test]
    fn what_clients_will_refuse_is_told_of_changed_files_too() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
        let files = Files { certificate, key, host: "ca.example".to_owned() };
        write(&files, &pair());
        let (sender, _shown) = watch::channel(files.read().unwrap());

        let log = tempfile::NamedTempFile::new().unwrap();
        let lines = tracing_subscriber::fmt().with_writer(Arc::new(log.reopen().unwrap()));
        let refreshed = || files.refresh(&sender);
        tracing::subscriber::with_default(lines.with_ansi(false).finish(), refreshed).unwrap();
        let told = fs::read_to_string(log.path()).unwrap();
        assert!(told.contains("it is not for ca.example"), "{told}");
    }

    #[tokio::test]
    async fn the_signers_next_certificate_is_shown_and_an_unusable_one_changes_nothing() {
        let (first, second) = (pair(), pair());
        let issued = |chain: &(String, String), key: &(String, String)| {
            Arc::new(ServerCertificate { chain_pem: chain.0.clone(), key_pem: key.1.clone() })
        };
        let (signer, issuing) = watch::channel(issued(&first, &first));
        let process = runtime::Process::new().unwrap();
        let mut shown = from_signer(issuing, process.background()).unwrap();
        let before = shown.borrow_and_update().cert.clone();

        signer.send_replace(issued(&first, &second));
        tokio::task::yield_now().await;
        assert!(!shown.has_changed().unwrap());
        signer.send_replace(issued(&second, &second));
        let changed = tokio::time::timeout(Duration::from_secs(10), shown.changed());
        changed.await.unwrap().unwrap();
        assert_ne!(shown.borrow().cert, before);
    }
}
