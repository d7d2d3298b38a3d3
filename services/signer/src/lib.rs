//! The signer role: leads finalized orders to certificates, publishes CRLs, and gives the server its own certificate.
//!
//! One issuance is followed file by file: `worker` takes the message, `issuance` asks for a look at CAA where that is due,
//! reserves, journals and signs, `delivery` records the certificate and tells who waits, `resume` goes on where a crash
//! left off.

mod burn;
mod calls;
mod chains;
mod crl;
mod delivery;
mod desk;
mod error;
mod files;
mod issuance;
mod issuers;
mod keys;
mod measure;
mod ocsp;
mod position;
mod reliance;
mod restored;
mod resume;
mod server_certificate;
mod settings;
mod supersede;
mod worker;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use eventstore::{Calls, EventFeed, Wakes};
use readmodel::Aggregates;
use runtime::Check;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use chains::NoSuchRoot;
use desk::Desk;
pub use desk::OpenError;
pub use error::IssuanceError;
pub use issuers::{Authorities, IssuersError};
pub use keys::KeyWatch;
pub use position::{PositionError, WATCHED_STREAMS};
pub use server_certificate::{ServerCertificate, ServerCertificateError};
pub use settings::{Settings, SettingsError, extended_key_usages};

/// What a signer works with.
#[derive(Clone)]
pub struct Ports {
    /// The event log and the views over it.
    pub aggregates: Aggregates,
    /// Delivers what happens to orders and revocations.
    pub feed: Arc<dyn EventFeed>,
    /// Tells waiting requests that an outcome is in the log.
    pub wakes: Arc<dyn Wakes>,
    /// Brings questions that only the signer can answer.
    pub calls: Arc<dyn Calls>,
}

/// An open signer: the only place in the program that holds CA keys.
pub struct Signer {
    desk: Arc<Desk>,
    /// Set once somebody asked for the server's certificate.
    server_certificate: OnceLock<server_certificate::Shown>,
}

/// Why a signer ended.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The log went backwards, or its position could not be kept at the end.
    #[error("the signer stopped signing")]
    Position(#[source] PositionError),
    /// The journal failed, and takes nothing more until it is opened again.
    #[error("the journal cannot be written: look after its disk, then start again")]
    Journal,
}

/// How often the log's position is kept and checked.
const POSITION_INTERVAL: Duration = Duration::from_secs(2);

impl Signer {
    /// Opens the journal, checks that the log did not go backwards, completes one that was restored, and finishes what a
    /// crash left half done.
    ///
    /// # Errors
    /// See [`OpenError`]; each says what the operator can do.
    pub async fn open(
        settings: Settings,
        authorities: impl Into<Authorities>,
        ports: Ports,
    ) -> Result<Self, OpenError> {
        let desk = Arc::new(Desk::open(settings, authorities.into(), ports).await?);
        restored::compare_if_marked(&desk).await?;
        for issuer in desk.issuers.all() {
            crl::divide(&desk, issuer.id()).await.map_err(OpenError::Divide)?;
        }
        resume::resume_pending(&desk).await?;
        Ok(Self { desk, server_certificate: OnceLock::new() })
    }

    /// The certificate for the server's own TLS listener, and all that follow it: it is renewed while [`Self::run`] runs.
    ///
    /// # Errors
    /// When none could be issued or kept.
    pub async fn server_certificate(
        &self,
    ) -> Result<watch::Receiver<Arc<ServerCertificate>>, ServerCertificateError> {
        server_certificate::obtain(&self.desk, &self.server_certificate).await
    }

    /// Issues, publishes and renews until told to stop, then finishes and acknowledges what is under way.
    ///
    /// # Errors
    /// When the log went backwards or the journal cannot be written: nothing more is signed until an operator acts.
    pub async fn run(self, health: Check, stop: CancellationToken) -> Result<(), SignerError> {
        let Self { desk, server_certificate: shown } = self;
        let signals = Arc::<crl::Signals>::default();
        let positions = position::keep(Arc::clone(&desk), POSITION_INTERVAL, stop.clone());
        let issuing = Arc::new(worker::Worker::new(Arc::clone(&desk), health)).run(stop.clone());
        let publisher = crl::Publisher::new(Arc::clone(&desk), Arc::clone(&signals));
        let publishing = publisher.run(stop.clone());
        let telling = crl::serve(Arc::clone(&desk), Arc::clone(&signals), stop.clone());
        let renewing = server_certificate::renew(Arc::clone(&desk), &shown, signals, stop.clone());
        let answering = ocsp::serve(Arc::clone(&desk), stop);
        let work = async { tokio::join!(issuing, publishing, renewing, telling, answering) };
        tokio::pin!(positions, work);
        tokio::select! {
            kept = &mut positions => {
                kept.map_err(SignerError::Position)?;
                work.await;
            }
            _ = &mut work => positions.await.map_err(SignerError::Position)?,
            () = desk.journal_failed.cancelled() => return Err(SignerError::Journal),
        }
        Ok(())
    }
}
