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

/// Why it cannot be said whether there is a certificate.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The log is out of reach.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The read model is out of reach.
    #[error(transparent)]
    View(#[from] Unavailable),
    /// The index has no entry, but does not know all of the ledger yet; try again in a moment.
    #[error("the index of certificates is behind the log")]
    Behind,
}

impl Aggregates {
    /// The index's entry of a certificate; `None` when there is no certificate with that serial. Waits for an index that is
    /// behind, as it always is where certificates are issued all the time.
    ///
    /// # Errors
    /// [`FindError::Behind`] when the index has no entry and stays behind: such an index cannot say that there is none.
    pub async fn certificate(
        &self,
        serial: &Serial,
    ) -> Result<Option<CertificateEntry>, FindError> {
        let ledger_end = self.store.last_sequence(Stream::Ledger).await?;
        self.certificate_by(Instant::now() + INDEX_PATIENCE, ledger_end, serial).await
    }

    /// As [`certificate`](Self::certificate), for an index that is complete up to `ledger_end` by the deadline.
    ///
    /// # Errors
    /// [`FindError::Behind`] when the index has no entry and is not as complete by then.
    pub async fn certificate_by(
        &self,
        deadline: Instant,
        ledger_end: Sequence,
        serial: &Serial,
    ) -> Result<Option<CertificateEntry>, FindError> {
        loop {
            match self.certificate_up_to(ledger_end, serial).await {
                Err(FindError::Behind) if Instant::now() < deadline => sleep(INDEX_PAUSE).await,
                found => return found,
            }
        }
    }

    /// As [`certificate`](Self::certificate), for an index that is complete up to `ledger_end`, without waiting.
    ///
    /// # Errors
    /// [`FindError::Behind`] when the index has no entry and is not as complete now.
    pub async fn certificate_up_to(
        &self,
        ledger_end: Sequence,
        serial: &Serial,
    ) -> Result<Option<CertificateEntry>, FindError> {
        match self.views.certificate(serial).await? {
            Lookup::Found(entry) => Ok(Some(entry)),
            Lookup::Missing { complete_to } if complete_to >= ledger_end => Ok(None),
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
