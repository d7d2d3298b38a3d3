//! Counts certificates that end soon and were not replaced, from what the log says and nothing else.
//!
//! Nobody waits for this count, so the log is looked at from time to time rather than followed: that costs those who
//! issue nothing.

use std::{sync::Arc, time::Duration};

use domain::{
    Identifier, Timestamp,
    certificate::{IdentifierSet, LedgerEvent, Replacements, RevocationEvent},
};
use eventstore::{EventStore, Message, Sequence, StoredEvent, Stream, last_before};
use ring::digest::{SHA256, digest};
use runtime::metrics::names;
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::ProjectError;

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(15);
/// How many messages are read at once.
const PAGE: usize = 256;
/// Certificates may be valid for as long as this whatever profiles say today, because they may have said otherwise before.
const LONG_LIFE: Duration = Duration::from_hours(400 * 24);
/// How long a serial may have been reserved before it was signed.
const RESERVED_BEFORE: Duration = Duration::from_hours(24);

/// Which certificates are counted.
#[derive(Clone, Copy, Debug)]
pub struct Unreplaced {
    /// How long before its end a certificate should have been replaced.
    pub within: Duration,
    /// The longest validity that a profile gives.
    pub longest_validity: Duration,
}

/// Shows how many certificates are unreplaced until told to stop. The first look reads the ledger as far back as certificates
/// may still be valid, and each later one what is new.
pub async fn watch(store: Arc<dyn EventStore>, which: Unreplaced, stop: CancellationToken) {
    let mut watcher = Watcher::new(store, which);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watching = async {
        loop {
            ticks.tick().await;
            match watcher.look().await {
                Ok(()) => watcher.show(now()),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "certificates that end soon are not counted");
                }
            }
        }
    };
    stop.run_until_cancelled(watching).await;
}

struct Watcher {
    store: Arc<dyn EventStore>,
    which: Unreplaced,
    /// How far each stream was read, once it is known where to begin.
    ledger: Option<Sequence>,
    revocations: Option<Sequence>,
    replacements: Replacements,
}

impl Watcher {
    fn new(store: Arc<dyn EventStore>, which: Unreplaced) -> Self {
        let replacements = Replacements::due_within(which.within);
        Self { store, which, ledger: None, revocations: None, replacements }
    }

    /// Reads what is new: the ledger first, so that no certificate is shown whose revocation was in the log when it was read. A
    /// revocation of one that is not known yet is kept, too.
    async fn look(&mut self) -> Result<(), ProjectError> {
        let mut place = self.place(Stream::Ledger, self.ledger).await?;
        while let Some((page, end)) = self.page(Stream::Ledger, place).await? {
            for (message, event) in page.iter().flat_map(events) {
                let event: LedgerEvent =
                    event.decode().map_err(ProjectError::unreadable(message))?;
                self.replacements.take(&event, set_of);
            }
            place = end;
            self.ledger = Some(place);
        }
        let mut place = self.place(Stream::Revocations, self.revocations).await?;
        while let Some((page, end)) = self.page(Stream::Revocations, place).await? {
            let events = page.iter().flat_map(events);
            for (message, event) in events.filter(|(_, event)| event.is("CertRevoked")) {
                let RevocationEvent::CertRevoked(revoked) =
                    event.decode().map_err(ProjectError::unreadable(message))?;
                self.replacements.revoke(&revoked);
            }
            place = end;
            self.revocations = Some(place);
        }
        Ok(())
    }

    async fn page(
        &self,
        stream: Stream,
        after: Sequence,
    ) -> Result<Option<(Vec<Message>, Sequence)>, ProjectError> {
        let page = self.store.scan(stream, after, PAGE).await.map_err(ProjectError::Store)?;
        let end = page.last().map(|message| message.sequence);
        Ok(end.map(|end| (page, end)))
    }

    /// Where reading goes on, or begins with what may still be valid.
    async fn place(
        &self,
        stream: Stream,
        known: Option<Sequence>,
    ) -> Result<Sequence, ProjectError> {
        match known {
            Some(place) => Ok(place),
            None => {
                let life = self.which.longest_validity.max(LONG_LIFE);
                let time = now().minus(life + RESERVED_BEFORE);
                last_before(self.store.as_ref(), stream, time).await.map_err(ProjectError::Store)
            }
        }
    }

    fn show(&mut self, now: Timestamp) {
        self.replacements.forget_ended(now);
        for (profile, count) in self.replacements.unreplaced(now) {
            let profile = profile.to_string();
            metrics::gauge!(names::CERTIFICATES_UNREPLACED, "profile" => profile).set(count);
        }
    }
}

fn set_of(identifiers: &[Identifier]) -> IdentifierSet {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, IdentifierSet::text(identifiers).as_bytes()).as_ref());
    IdentifierSet::from_hash(&hash)
}

fn now() -> Timestamp {
    OffsetDateTime::now_utc().into()
}

/// A message's events, each with the message that it is from.
fn events(message: &Message) -> impl Iterator<Item = (&Message, &StoredEvent)> {
    message.envelope.events.iter().map(move |event| (message, event))
}
