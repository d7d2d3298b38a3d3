//! Certificates by serial: where the index leads to, and what the ledger holds there.

use std::time::Duration;

use domain::{
    Serial,
    certificate::{CertificateSigned, LedgerEvent},
};
use eventstore::{LoadError, Sequence, StoreError, Stream};
use tokio::time::{Instant, sleep};

use crate::{Aggregates, CertificateEntry, Lookup, Unavailable};

/// How long an index that is behind is waited for: it follows the log about once a second.
pub const INDEX_PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked at meanwhile.
pub const INDEX_PAUSE: Duration = Duration::from_millis(50);

/// Why nobody can say whether there is a certificate.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The log is out of reach.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The read model is out of reach.
    #[error(transparent)]
    View(#[from] Unavailable),
    /// The index does not have it, and not yet all that the ledger has; try again in a moment.
    #[error("the index of certificates is behind the log")]
    Behind,
}

impl Aggregates {
    /// The index's entry of a certificate; `None` when there is none with that serial. An index that is behind is waited
    /// for: where certificates are issued all the time, it always is.
    ///
    /// # Errors
    /// Also when the index has none and is not complete in time: such an index cannot say that there is none.
    pub async fn certificate(
        &self,
        serial: &Serial,
    ) -> Result<Option<CertificateEntry>, FindError> {
        let end = self.store.last_sequence(Stream::Ledger).await?;
        self.certificate_by(Instant::now() + INDEX_PATIENCE, end, serial).await
    }

    /// The same by a time, where the ledger ended at a place before.
    ///
    /// # Errors
    /// Also when the index has none and is not complete up to there by then.
    pub async fn certificate_by(
        &self,
        deadline: Instant,
        end: Sequence,
        serial: &Serial,
    ) -> Result<Option<CertificateEntry>, FindError> {
        loop {
            match self.certificate_up_to(end, serial).await {
                Err(FindError::Behind) if Instant::now() < deadline => sleep(INDEX_PAUSE).await,
                found => return found,
            }
        }
    }

    /// The same at once, where the ledger ended at a place before.
    ///
    /// # Errors
    /// Also when the index has none and is not complete up to there.
    pub async fn certificate_up_to(
        &self,
        end: Sequence,
        serial: &Serial,
    ) -> Result<Option<CertificateEntry>, FindError> {
        match self.views.certificate(serial).await? {
            Lookup::Found(entry) => Ok(Some(entry)),
            Lookup::Missing { complete_to } if complete_to >= end => Ok(None),
            Lookup::Missing { .. } => Err(FindError::Behind),
        }
    }

    /// The certificate of a serial at a place of the ledger; `None` when something else or nothing is there.
    ///
    /// # Errors
    /// When the log failed.
    pub async fn signed_certificate(
        &self,
        place: Sequence,
        serial: &Serial,
    ) -> Result<Option<CertificateSigned>, LoadError> {
        let message = self.store.message(Stream::Ledger, place).await.map_err(LoadError::Store)?;
        let Some(message) = message else { return Ok(None) };
        let events: Vec<LedgerEvent> = message.envelope.decode().map_err(LoadError::Decode)?;
        Ok(events.into_iter().find_map(|event| match event {
            LedgerEvent::CertificateSigned(signed) if signed.serial == *serial => Some(signed),
            LedgerEvent::CertificateSigned(_)
            | LedgerEvent::SerialReserved(_)
            | LedgerEvent::SerialBurned(_) => None,
        }))
    }
}
