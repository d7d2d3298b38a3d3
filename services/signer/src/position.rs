//! Notices a log that went backwards: a stream that was lost, or restored from a backup.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ca::{LogPositionError, LogPositions, LogWentBack};
use eventstore::{EventStore, Sequence, StoreError, Stream};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::desk::Desk;

/// The streams a signer must never see go backwards: a certificate or a revocation would be lost.
pub const WATCHED_STREAMS: [Stream; 2] = [Stream::Ledger, Stream::Revocations];

/// The highest acknowledged sequences, in memory and on disk.
pub(crate) struct Positions {
    kept: Mutex<LogPositions>,
    acknowledged: [AtomicU64; WATCHED_STREAMS.len()],
}

/// The signer must not sign on this log.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    /// The log ends before what it acknowledged.
    #[error("the event log went backwards")]
    WentBack(#[source] LogWentBack),
    /// The position cannot be read or written.
    #[error("the position in the event log cannot be kept")]
    File(#[source] LogPositionError),
    /// The log does not answer.
    #[error("the event log does not say where it ends")]
    Store(#[source] StoreError),
}

impl Positions {
    pub(crate) fn open(path: &Path) -> Result<Self, PositionError> {
        let kept = LogPositions::open(path).map_err(PositionError::File)?;
        Ok(Self { kept: Mutex::new(kept), acknowledged: Default::default() })
    }

    /// Remembers an acknowledgement; written down a moment later.
    pub(crate) fn acknowledged(&self, stream: Stream, sequence: Sequence) {
        if let Some(place) = WATCHED_STREAMS.iter().position(|watched| *watched == stream) {
            self.acknowledged[place].fetch_max(sequence.0, Ordering::Relaxed);
        }
    }

    /// Compares what is remembered with where the log ends.
    pub(crate) async fn check(&self, store: &dyn EventStore) -> Result<(), PositionError> {
        for stream in WATCHED_STREAMS {
            let last = store.last_sequence(stream).await.map_err(PositionError::Store)?;
            runtime::metrics::log_end(&stream, last.0);
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.check(&stream.to_string(), last.0).map_err(PositionError::WentBack)?;
        }
        Ok(())
    }

    fn write(&self) -> Result<(), PositionError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (stream, acknowledged) in WATCHED_STREAMS.iter().zip(&self.acknowledged) {
            let sequence = acknowledged.load(Ordering::Relaxed);
            if sequence > 0 {
                kept.set(&stream.to_string(), sequence).map_err(PositionError::File)?;
            }
        }
        Ok(())
    }
}

/// Writes the position down and compares it with the log until told to stop.
///
/// # Errors
/// When the log went backwards, or the position cannot be written at the end.
pub(crate) async fn keep(
    desk: Arc<Desk>,
    interval: Duration,
    stop: CancellationToken,
) -> Result<(), PositionError> {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return desk.positions.write(),
        }
        let writer = Arc::clone(&desk);
        // A disk that is full takes few certificates more, those for which the journal has room, and may have some again soon.
        match tokio::task::spawn_blocking(move || writer.positions.write()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                error!(error = &error as &dyn std::error::Error, "position not written");
            }
            Err(error) => error!(%error, "position not written"),
        }
        let checked = tokio::select! {
            checked = desk.positions.check(desk.ports.aggregates.store.as_ref()) => checked,
            () = stop.cancelled() => return desk.positions.write(),
        };
        match checked {
            Ok(()) => {}
            // A log out of reach stops issuance by itself.
            Err(PositionError::Store(error)) => {
                warn!(error = &error as &dyn std::error::Error, "event log not checked");
            }
            Err(gone @ (PositionError::WentBack(_) | PositionError::File(_))) => {
                error!(error = &gone as &dyn std::error::Error, "the signer stops signing");
                return Err(gone);
            }
        }
    }
}
