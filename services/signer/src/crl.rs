//! Publishes CRLs: at once after a revocation, and in time before the last one ends.

mod last;
mod publication;
mod questions;
mod revocations;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use domain::{
    CrlName, CrlShards, IssuerId, Timestamp,
    certificate::{CrlDivided, CrlDivision},
};
use eventstore::{Loaded, Stream, Subject, Subscription, execute};
use readmodel::Crl;
use tokio::{
    sync::{Notify, watch},
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub(crate) use self::questions::serve;
use self::{last::Last, revocations::Revocations};
use crate::{
    IssuanceError,
    desk::{Desk, context, now},
    issuers::Issuer,
    measure,
};

/// The name of the publishers' durable consumer.
const CONSUMER: &str = "crl";
/// Revocations that come faster than this share a CRL.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is checked that the published CRLs are still there and not due.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Clones share what they know.
#[derive(Clone)]
pub(crate) struct Publisher {
    desk: Arc<Desk>,
    signals: Arc<Signals>,
    revocations: Arc<Revocations>,
}

/// What the publisher and other tasks tell each other.
#[derive(Default)]
pub(crate) struct Signals {
    /// Which CRLs are published, once the log was read.
    published: watch::Sender<Option<BTreeSet<CrlName>>>,
    /// Told when somebody misses one of them.
    missed: Notify,
    /// Told when the log delivered a revocation: it may be that of the server's own certificate.
    pub(crate) revocation_heard: Notify,
}

/// Why a CRL was not published; tried again at the next check.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("the event log failed")]
    Store(#[source] eventstore::StoreError),
    #[error("a revocation cannot be read")]
    Decode(#[source] eventstore::DecodeError),
    #[error("the CRL cannot be made")]
    Crl(#[source] ca::CrlError),
    #[error("the CRL does not follow the one before")]
    Successor(#[source] ca::SuccessorError),
    #[error("the last CRL cannot be kept")]
    File(#[source] std::io::Error),
    #[error("the read model failed")]
    View(#[source] readmodel::Unavailable),
    #[error("the read model holds a CRL with a number that no CRL can have: remove it from there")]
    Number,
    #[error("the last CRL cannot be read")]
    Last(#[from] last::Damaged),
    #[error("the thread on which it is made was lost")]
    Thread(#[source] JoinError),
}

/// Has the log remember which CRLs certificates will name, before the first does. An undivided one is always published.
pub(crate) async fn divide(desk: &Desk, issuer: &IssuerId) -> Result<(), IssuanceError> {
    let shards = desk.settings.crl_shards;
    if shards == CrlShards::UNDIVIDED {
        return Ok(());
    }
    let base_url = desk.settings.crl_base_url.as_str().trim_end_matches('/').to_owned();
    let divide = CrlDivided { issuer: issuer.clone(), shards, base_url, at: now() };
    let (store, subject) = (desk.ports.aggregates.store.as_ref(), Subject::crl_division(issuer));
    let divided =
        execute::<CrlDivision>(store, &subject, Loaded::default(), &divide, &context()).await;
    let sequence = divided.map_err(IssuanceError::of_execution)?.sequence;
    desk.positions.acknowledged(Stream::Revocations, sequence);
    Ok(())
}

/// From when until when a CRL is valid.
type Validity = (Timestamp, Timestamp);

impl Publisher {
    pub(crate) fn new(desk: Arc<Desk>, signals: Arc<Signals>) -> Self {
        Self { desk, signals, revocations: Arc::default() }
    }

    /// Publishes until told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_published()).await;
    }

    async fn keep_published(&mut self) {
        let mut subscription: Option<Box<dyn Subscription>> = None;
        loop {
            if let Err(error) = self.publish_if_needed().await {
                error!(error = &error as &dyn std::error::Error, "CRLs not published");
            }
            let earliest = Instant::now() + LEAST_INTERVAL;
            if subscription.is_none() {
                let feed = &self.desk.ports.feed;
                subscription = feed.subscribe(CONSUMER, &[Stream::Revocations]).await.ok();
            }
            tokio::select! {
                () = sleep(CHECK_INTERVAL) => {}
                // Whoever misses one asks again and again.
                () = self.signals.missed.notified() => sleep(LEAST_INTERVAL).await,
                () = self.hear(&mut subscription) => {
                    // What comes meanwhile is on the same CRL: a look for each would go on for hours after many at once.
                    let more = async { loop { self.hear(&mut subscription).await } };
                    let Err(_) = timeout_at(earliest, more).await;
                }
            }
        }
    }

    /// Waits for a revocation; without a subscription, for ever.
    async fn hear(&self, subscription: &mut Option<Box<dyn Subscription>>) {
        let Some(open) = subscription else { return std::future::pending().await };
        match open.next().await {
            Ok(delivery) => {
                if let Err(error) = delivery.ack().await {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "delivery not settled; it comes again");
                }
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "revocations are not delivered");
                *subscription = None;
            }
        }
        self.signals.revocation_heard.notify_one();
    }

    /// Publishes the CRLs on which something is missing, that are due, or that the read model lost.
    async fn publish_if_needed(&mut self) -> Result<(), PublishError> {
        let desk = Arc::clone(&self.desk);
        Arc::make_mut(&mut self.revocations).catch_up(&desk).await?;
        let issuers = desk.issuers.all();
        let crls = issuers.flat_map(|issuer| self.revocations.crls(issuer.id())).collect();
        self.signals.published.send_replace(Some(crls));
        for issuer in desk.issuers.all() {
            self.publish_all_of(issuer).await?;
        }
        Ok(())
    }

    async fn publish_all_of(&mut self, issuer: &Arc<Issuer>) -> Result<(), PublishError> {
        let (mut all, mut validities) = (Vec::new(), Vec::new());
        for name in self.revocations.crls(issuer.id()) {
            match self.before(issuer, &name).await {
                Ok(before) => all.push(before),
                Err(error) => validities.extend(self.not_published(&name, &error).await),
            }
        }
        // After the last CRLs were read: whatever they list is in what is read now.
        Arc::make_mut(&mut self.revocations).catch_up(&self.desk).await?;
        for before in all {
            let name = before.name.clone();
            match self.publish(issuer, before).await {
                Ok(validity) => validities.push(validity),
                Err(error) => validities.extend(self.not_published(&name, &error).await),
            }
        }
        let oldest = validities
            .into_iter()
            .reduce(|(first, earliest), (made, end)| (first.min(made), earliest.min(end)));
        if let Some((made, end)) = oldest {
            measure::crl(issuer.id(), made, end);
        }
        Ok(())
    }

    /// Logs that a CRL was not published, and returns when the one that clients still have is valid, because an alert watches
    /// its end; `None` where the read model does not answer. The other CRLs are published all the same.
    async fn not_published(&self, name: &CrlName, error: &PublishError) -> Option<Validity> {
        error!(crl = %name, error = error as &dyn std::error::Error, "CRL not published");
        let published = self.desk.ports.aggregates.views.crl(name).await.ok()?;
        let validity = |crl: Arc<Crl>| {
            let last = Last::parse(crl.der.clone()).ok()?;
            Some((last.made, last.next_update))
        };
        let read = apart(move || Ok(published.and_then(validity))).await.ok()?;
        Some(read.unwrap_or((now(), now())))
    }
}

/// Works on a thread that serves nobody else: a CRL may have hundreds of thousands of entries.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    spawn_blocking(work).await.map_err(PublishError::Thread)?
}
