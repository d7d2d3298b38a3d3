//! The index of certificates by serial, complete up to a marker.

use std::time::Duration;

use domain::certificate::LedgerEvent;
use eventstore::{DecodeError, StoreError, Stream};
use readmodel::{CertificateEntry, Unavailable};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Ports;

/// How long the index may lag when no wake tells of something new.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many entries of the ledger are read at once.
const PAGE: usize = 500;

/// The index could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The log is out of reach.
    #[error("the event log failed")]
    Store(#[source] StoreError),
    /// An entry of the ledger cannot be read by this release.
    #[error("an entry of the ledger cannot be read")]
    Decode(#[source] DecodeError),
    /// The read model is out of reach.
    #[error("the read model failed")]
    View(#[source] Unavailable),
}

pub(crate) async fn project(ports: &Ports, stop: CancellationToken) {
    let mut wakes = ports.wakes.subscribe();
    while !stop.is_cancelled() {
        if let Err(error) = catch_up(ports).await {
            warn!(error = &error as &dyn std::error::Error, "index of certificates not updated");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            // Lagging is as good as a wake; a closed channel leaves the interval.
            Ok(_) = wakes.recv() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Reads the ledger from where the index is complete, and moves the marker. Any number of projectors may do so at once.
pub(crate) async fn catch_up(ports: &Ports) -> Result<u64, IndexError> {
    let (store, views) = (&ports.aggregates.store, &ports.aggregates.views);
    let mut certificates = 0;
    loop {
        let complete_to = views.complete_to(Stream::Ledger).await.map_err(IndexError::View)?;
        let page =
            store.scan(Stream::Ledger, complete_to, PAGE).await.map_err(IndexError::Store)?;
        let Some(last) = page.last().map(|message| message.sequence) else {
            return Ok(certificates);
        };
        for message in &page {
            let events: Vec<LedgerEvent> = message.envelope.decode().map_err(IndexError::Decode)?;
            for event in events {
                if let Some(entry) = entry(event, message.sequence.0) {
                    views.put_certificate(&entry).await.map_err(IndexError::View)?;
                    certificates += 1;
                }
            }
        }
        views.mark_complete(Stream::Ledger, last).await.map_err(IndexError::View)?;
    }
}

fn entry(event: LedgerEvent, ledger_sequence: u64) -> Option<CertificateEntry> {
    match event {
        LedgerEvent::CertificateSigned(signed) => Some(CertificateEntry {
            issuer: signed.issuer,
            serial: signed.serial,
            order: signed.order,
            account: signed.account,
            profile: signed.profile,
            ledger_sequence,
            not_after: signed.not_after,
        }),
        LedgerEvent::SerialReserved(_) | LedgerEvent::SerialBurned(_) => None,
    }
}
