//! What every step of an issuance works with: the keys, the journal and the log.

use std::{io, sync::OnceLock, time::Instant};

use ca::journal::{
    AppendError as JournalError, Entry, Journal, OpenError as JournalOpenError, Synced,
};
use domain::{
    IssuerId, Serial, Timestamp,
    certificate::{CertRevoked, LedgerEvent, RevocationReason},
    order::{Command, Order},
};
use eventstore::{
    Actor, AppendError, Context, Decided, DecodeError, Envelope, ExecuteError, Expected, MessageId,
    NewMessage, Sequence, StoreError, Stream, Subject,
};
use metrics::histogram;
use runtime::metrics::names;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    Authorities, IssuanceError, IssuersError, Ports, PositionError, Settings, issuance::OrderView,
    issuers::Issuers, measure, position::Positions,
};

/// What all tasks of a signer share.
pub(crate) struct Desk {
    pub(crate) settings: Settings,
    pub(crate) issuers: Issuers,
    pub(crate) journal: Journal,
    pub(crate) ports: Ports,
    pub(crate) positions: Positions,
    /// When this process compared journal and CRLs with a restored log; unset if it did not.
    pub(crate) restored_at: OnceLock<Timestamp>,
    /// Cancelled when the journal takes nothing more until it is opened again.
    pub(crate) journal_failed: CancellationToken,
}

/// Why a signer cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The signer's directory cannot be made.
    #[error("the signer's directory cannot be made")]
    Directory(#[source] io::Error),
    /// The journal cannot be opened.
    #[error("the journal cannot be opened")]
    Journal(#[source] JournalOpenError),
    /// The log went backwards, or its position is not known.
    #[error("the signer does not sign on this event log")]
    Position(#[source] PositionError),
    /// The CAs do not fit together or to the profiles.
    #[error("the issuers cannot be used")]
    Issuers(#[source] IssuersError),
    /// The log does not take how CRLs are divided.
    #[error("it cannot be recorded how CRLs are divided")]
    Divide(#[source] IssuanceError),
    /// The mark that asks to compare journal and log cannot be read or removed.
    #[error("the mark of a restored log cannot be used")]
    Mark(#[source] io::Error),
    /// What a restored log lacks cannot be put back.
    #[error("the restored log cannot be completed from the journal")]
    Restore(#[source] IssuanceError),
    /// What a crash left half done cannot be finished.
    #[error("an interrupted issuance cannot be finished")]
    Resume(#[source] IssuanceError),
}

impl Desk {
    pub(crate) async fn open(
        settings: Settings,
        authorities: Authorities,
        ports: Ports,
    ) -> Result<Self, OpenError> {
        let issuers = Issuers::new(authorities, &settings).map_err(OpenError::Issuers)?;
        std::fs::create_dir_all(&settings.dir).map_err(OpenError::Directory)?;
        let journal = Journal::open(settings.journal_dir()).map_err(OpenError::Journal)?;
        let positions = Positions::open(&settings.position_file()).map_err(OpenError::Position)?;
        positions.check(ports.aggregates.store.as_ref()).await.map_err(OpenError::Position)?;
        settings.profiles.keys().for_each(measure::begin);
        issuers.warn_of_usages(&settings);
        for issuer in issuers.all() {
            measure::issuer(issuer.id(), issuer.authority.not_after());
        }
        Ok(Self {
            settings,
            issuers,
            journal,
            ports,
            positions,
            restored_at: OnceLock::new(),
            journal_failed: CancellationToken::new(),
        })
    }

    /// Records something in the ledger and returns its place.
    pub(crate) async fn record(&self, event: LedgerEvent) -> Result<Sequence, IssuanceError> {
        let NewMessage { subject, expected, envelope } = ledger_message(event)?;
        let store = &self.ports.aggregates.store;
        let sequence = store.append(&subject, expected, &envelope).await.map_err(not_recorded)?;
        self.positions.acknowledged(Stream::Ledger, sequence);
        Ok(sequence)
    }

    /// Records something in the ledger and gives the order a command that names its place; both at once where the log is
    /// on one disk. The order's view is still to be written.
    pub(crate) async fn record_then(
        &self,
        event: LedgerEvent,
        order: OrderView,
        command: impl Fn(Sequence) -> Command + Clone + Send + 'static,
    ) -> Result<(Sequence, Decided<Order>), IssuanceError> {
        let id = order.state.id.clone();
        let (record, context) = (ledger_message(event)?, context());
        let aggregates = &self.ports.aggregates;
        let executed =
            aggregates.execute_after::<Order>(record, &id, order, command, &context).await;
        let (sequence, decided) = executed.map_err(not_recorded)?;
        self.positions.acknowledged(Stream::Ledger, sequence);
        Ok((sequence, decided?))
    }

    /// What the ledger says at a place; nothing where a restored one does not reach.
    pub(crate) async fn ledger(&self, place: Sequence) -> Result<Vec<LedgerEvent>, IssuanceError> {
        let store = &self.ports.aggregates.store;
        let message = store.message(Stream::Ledger, place).await.map_err(IssuanceError::Store)?;
        let Some(message) = message else { return Ok(Vec::new()) };
        message.envelope.decode().map_err(IssuanceError::Decode)
    }

    /// Revokes a serial that another takes the place of; says whether it was not revoked before.
    pub(crate) async fn revoke_superseded(
        &self,
        issuer: IssuerId,
        serial: Serial,
        not_after: Timestamp,
    ) -> Result<bool, IssuanceError> {
        let reason = RevocationReason::Superseded;
        self.revoke(CertRevoked { issuer, serial, reason, at: now(), not_after }).await
    }

    /// Revokes a serial; says whether it was not revoked before.
    pub(crate) async fn revoke(&self, revoked: CertRevoked) -> Result<bool, IssuanceError> {
        match self.ports.aggregates.revoke(revoked, None, &context()).await {
            Ok(decided) => {
                self.positions.acknowledged(Stream::Revocations, decided.sequence);
                Ok(true)
            }
            Err(ExecuteError::Rejected(_)) => Ok(false),
            Err(error) => Err(IssuanceError::of_execution(error)),
        }
    }

    /// Gives a command to an order and writes its view through.
    pub(crate) async fn command(
        &self,
        order: OrderView,
        command: &Command,
    ) -> Result<OrderView, IssuanceError> {
        let id = order.state.id.clone();
        let aggregates = &self.ports.aggregates;
        Ok(aggregates.execute::<Order>(&id, Some(order), command, &context()).await?)
    }

    /// Writes to the journal and waits until it is there.
    pub(crate) async fn journal(&self, entry: Entry, synced: Synced) -> Result<(), IssuanceError> {
        let (started, awaited) = (Instant::now(), matches!(synced, Synced::Now));
        let (done, written) = oneshot::channel();
        let reply = move |result| drop(done.send(result));
        self.journal.append(entry, synced, reply);
        let written = written.await.unwrap_or(Err(JournalError::Closed));
        if let Err(JournalError::Failed(_) | JournalError::Closed) = &written {
            self.journal_failed.cancel();
        }
        if awaited && written.is_ok() {
            histogram!(names::JOURNAL_SYNC_SECONDS).record(started.elapsed().as_secs_f64());
        }
        written.map_err(IssuanceError::Journal)
    }
}

fn ledger_message(event: LedgerEvent) -> Result<NewMessage, IssuanceError> {
    let subject = match &event {
        LedgerEvent::SerialReserved(reserved) => {
            Subject::ledger(&reserved.issuer, &reserved.serial)
        }
        LedgerEvent::CertificateSigned(signed) => Subject::ledger(&signed.issuer, &signed.serial),
        LedgerEvent::SerialBurned(burned) => Subject::ledger(&burned.issuer, &burned.serial),
    };
    let envelope = Envelope::new(MessageId::random(), &context(), &[event])
        .map_err(|error| IssuanceError::Decode(DecodeError::Malformed(error)))?;
    Ok(NewMessage { subject, expected: Expected::Anything, envelope })
}

/// An unknown result is a failure here: the ledger is an idempotent record, and a second entry says the same.
fn not_recorded(error: AppendError) -> IssuanceError {
    let source: Box<dyn std::error::Error + Send + Sync> = match error {
        AppendError::Unknown(source) | AppendError::Unavailable(source) => source,
        AppendError::Conflict | AppendError::TooLarge => error.into(),
    };
    IssuanceError::Store(StoreError::Unavailable(source))
}

/// The time at which a step is decided.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(time::OffsetDateTime::now_utc())
}

/// What the signer's commands know about their cause.
pub(crate) fn context() -> Context {
    Context {
        actor: Actor::Signer,
        request_id: None,
        traceparent: runtime::telemetry::current_traceparent(),
        at: now(),
    }
}
