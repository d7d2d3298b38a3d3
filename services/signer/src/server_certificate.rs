//! The server's own TLS certificate: issued like any other, with serial, ledger and journal, but on nobody's order.

use std::{
    fs, io,
    net::IpAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ca::{CertificateProfile, LeafRequest};
use domain::{Serial, Timestamp};
use eventstore::LoadError;
use rcgen::{KeyPair, PublicKeyData as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, pem::Pem};

use crate::{
    IssuanceError,
    crl::Signals,
    desk::{Desk, now},
    files,
    issuance::{issue_unordered, random_serial},
    issuers::Issuer,
};

/// How often it is checked whether the certificate is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(600);
const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";

/// Shows the certificate of now to the listener.
pub(crate) type Shown = watch::Sender<Arc<ServerCertificate>>;

/// A certificate for the server's TLS listener, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The certificate and its chain.
    pub chain_pem: String,
    /// Its private key as PKCS#8.
    pub key_pem: String,
}

/// Hides the key.
impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("chain_pem", &self.chain_pem)
            .finish_non_exhaustive()
    }
}

/// Why the server has no certificate of its own.
#[derive(Debug, thiserror::Error)]
pub enum ServerCertificateError {
    /// Its files cannot be read or written.
    #[error("the files of the server's certificate cannot be used")]
    Files(#[source] io::Error),
    /// No key could be made.
    #[error("no key can be made for the server's certificate")]
    Key(#[source] rcgen::Error),
    /// It cannot be made as the configuration asks.
    #[error("the server's certificate cannot be made")]
    Plan(#[source] ca::PlanError),
    /// The log does not say whether the kept one is revoked.
    #[error("it cannot be seen whether the server's certificate is revoked")]
    Revocation(#[source] LoadError),
    /// It was not issued.
    #[error("the server's certificate was not issued")]
    Issue(#[source] IssuanceError),
}

/// The kept certificate if it can be used for a while, else a new one; and all that follow.
pub(crate) async fn obtain(
    desk: &Desk,
    shown: &OnceLock<Shown>,
) -> Result<watch::Receiver<Arc<ServerCertificate>>, ServerCertificateError> {
    let certificate = match kept(desk).await? {
        Some(kept) => kept,
        None => issue(desk).await?,
    };
    let certificate = Arc::new(certificate);
    let shown = shown.get_or_init(|| watch::Sender::new(Arc::clone(&certificate)));
    shown.send_replace(certificate);
    Ok(shown.subscribe())
}

/// Renews the certificate in time, and once it is revoked, until told to stop; does nothing where none was asked for.
pub(crate) async fn renew(
    desk: Arc<Desk>,
    shown: &OnceLock<Shown>,
    signals: Arc<Signals>,
    stop: CancellationToken,
) {
    let Some(shown) = shown.get() else { return };
    loop {
        tokio::select! {
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
            () = signals.revocation_heard.notified() => {}
            () = stop.cancelled() => return,
        }
        let renewed = match kept(&desk).await {
            Ok(Some(_)) => continue,
            Ok(None) => issue(&desk).await,
            Err(error) => Err(error),
        };
        match renewed {
            Ok(certificate) => drop(shown.send_replace(Arc::new(certificate))),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "server certificate not renewed");
            }
        }
    }
}

async fn issue(desk: &Desk) -> Result<ServerCertificate, ServerCertificateError> {
    let key = KeyPair::generate().map_err(ServerCertificateError::Key)?;
    let serial = random_serial().map_err(ServerCertificateError::Issue)?;
    let public_key = key.subject_public_key_info();
    let request = LeafRequest {
        names: &desk.settings.server_names,
        common_name: None,
        public_key: &public_key,
        not_before: None,
        not_after: None,
        asked_at: now(),
        now: now(),
        serial: &serial,
    };
    let issuer = issuer(desk);
    let planned = ca::plan(&issuer.authority, &profile(desk, issuer), &request)
        .map_err(ServerCertificateError::Plan)?;
    let der =
        issue_unordered(desk, issuer, &planned).await.map_err(ServerCertificateError::Issue)?;
    let chain = std::iter::once(der.as_slice()).chain(issuer.authority.chain());
    let chain_pem = ca::encode_certificates(chain);
    let certificate = ServerCertificate { chain_pem, key_pem: key.serialize_pem() };
    keep(&desk.settings.tls_dir, &certificate).map_err(ServerCertificateError::Files)?;
    info!(%serial, issuer = %issuer.id(), not_after = %planned.not_after, "server certificate issued");
    Ok(certificate)
}

/// The CA that issues the server's certificate: the default one. Once that ends, another, so that clients of the others still
/// reach the server: one below a root of the default one, if there is any, else the one that lasts longest.
fn issuer(desk: &Desk) -> &Arc<Issuer> {
    let (default, soon) = (desk.issuers.default(), now().plus(2 * CHECK_INTERVAL));
    let end = |issuer: &Issuer| issuer.authority.not_after();
    if end(default) > soon {
        return default;
    }
    let is_trusted = |issuer: &Issuer| {
        issuer.authority.roots().any(|root| default.authority.roots().any(|known| known == root))
    };
    let lasting = desk.issuers.all().filter(|issuer| end(issuer) > soon);
    lasting.max_by_key(|issuer| (is_trusted(issuer), end(issuer))).unwrap_or(default)
}

/// How the certificate is made. The configured URLs of OCSP responder and issuer are those of the default CA only.
fn profile(desk: &Desk, issuer: &Issuer) -> CertificateProfile {
    let profile = desk.settings.server_profile.clone();
    if issuer.id() == desk.issuers.default().id() {
        return profile;
    }
    CertificateProfile { ocsp_base_url: None, ca_issuers_url: None, ..profile }
}

/// The key first: a certificate without its key would look good at the next start.
fn keep(dir: &Path, certificate: &ServerCertificate) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    files::replace(&dir.join(KEY), certificate.key_pem.as_bytes())?;
    files::replace(&dir.join(CERTIFICATE), certificate.chain_pem.as_bytes())
}

/// The kept certificate; `None` where it is missing, revoked, or not good for the server.
async fn kept(desk: &Desk) -> Result<Option<ServerCertificate>, ServerCertificateError> {
    let read = |name: &str| -> Result<Option<String>, ServerCertificateError> {
        let contents = files::read(&desk.settings.tls_dir.join(name));
        let contents = contents.map_err(ServerCertificateError::Files)?;
        Ok(contents.and_then(|contents| String::from_utf8(contents).ok()))
    };
    let (Some(chain_pem), Some(key_pem)) = (read(CERTIFICATE)?, read(KEY)?) else {
        return Ok(None);
    };
    let Some(serial) = serial_if_good(desk, &chain_pem, &key_pem) else { return Ok(None) };
    let revocation = desk.ports.aggregates.revocation(issuer(desk).id(), &serial).await;
    let revocation = revocation.map_err(ServerCertificateError::Revocation)?;
    Ok(revocation.is_none().then_some(ServerCertificate { chain_pem, key_pem }))
}

/// The serial of a certificate that is good for the server unless it was revoked: from its issuer and with the chain of today, for
/// its names and the key, and not due for renewal.
fn serial_if_good(desk: &Desk, chain_pem: &str, key_pem: &str) -> Option<Serial> {
    let chain: Vec<Pem> =
        Pem::iter_from_buffer(chain_pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    let (first, above) = chain.split_first()?;
    let certificate = first.parse_x509().ok()?;
    let key = KeyPair::from_pem(key_pem).ok()?;
    let authority = &issuer(desk).authority;
    let is_good = authority.is_issuer_of(&first.contents)
        && above.iter().map(|above| above.contents.as_slice()).eq(authority.chain())
        && certificate.public_key().raw == key.subject_public_key_info()
        && names_are(&certificate, &desk.settings.server_names)
        && !is_due(&certificate, now());
    is_good.then(|| Serial::from_octets(certificate.raw_serial()).ok()).flatten()
}

/// Whether a certificate is for these names, in this order, and no others.
fn names_are(certificate: &X509Certificate<'_>, names: &[ca::SubjectName]) -> bool {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return false };
    let found: Vec<ca::SubjectName> = extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => name.parse().ok(),
            GeneralName::IPAddress(octets) => {
                let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
                let v6 = <[u8; 16]>::try_from(*octets).map(IpAddr::from);
                v4.or(v6).ok().map(ca::SubjectName::Ip)
            }
            _ => None,
        })
        .collect();
    found == names
}

/// Due when a third of its life is left, and when it is not valid yet: it was made while the clock was ahead.
fn is_due(certificate: &X509Certificate<'_>, now: Timestamp) -> bool {
    let start = certificate.validity().not_before.timestamp();
    let end = certificate.validity().not_after.timestamp();
    let now = now.unix_seconds();
    now < start || now >= end - (end - start) / 3
}
