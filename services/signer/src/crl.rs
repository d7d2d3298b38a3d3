//! Publishes CRLs: at once after a revocation, and in time before the last one ends.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use ca::{CrlPlan, check_successor, sign_crl};
use domain::{
    Serial, Timestamp,
    certificate::{CertRevoked, RevocationEvent},
};
use eventstore::{Sequence, Stream, Subscription};
use readmodel::Crl;
use runtime::metrics::names;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use x509_parser::{prelude::FromDer as _, revocation_list::CertificateRevocationList};

use crate::{
    desk::{Desk, now},
    files,
};

/// The name of the publishers' durable consumer.
const CONSUMER: &str = "crl";
/// Revocations that come faster than this share a CRL.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is checked that the published CRL is still there and not due.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// How many revocations are read at once.
const PAGE: usize = 1000;

pub(crate) struct Publisher {
    desk: Arc<Desk>,
    revocations: BTreeMap<Serial, CertRevoked>,
    read_to: Sequence,
}

/// Why no CRL was published; tried again at the next check.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("the event log failed")]
    Store(#[source] eventstore::StoreError),
    #[error("a revocation cannot be read")]
    Decode(#[source] eventstore::DecodeError),
    #[error("the crl cannot be made")]
    Crl(#[source] ca::CrlError),
    #[error("the crl does not follow the one before")]
    Successor(#[source] ca::SuccessorError),
    #[error("the last crl cannot be kept")]
    File(#[source] std::io::Error),
    #[error("the read model failed")]
    View(#[source] readmodel::Unavailable),
    #[error("the last crl is damaged: remove it if the revocations in the log are whole")]
    Damaged,
}

impl Publisher {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self { desk, revocations: BTreeMap::new(), read_to: Sequence::NONE }
    }

    /// Publishes until told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut subscription: Option<Box<dyn Subscription>> = None;
        while !stop.is_cancelled() {
            let published = tokio::select! {
                published = self.publish_if_needed() => published,
                () = stop.cancelled() => return,
            };
            if let Err(error) = published {
                error!(error = &error as &dyn std::error::Error, "crl not published");
            }
            let earliest = Instant::now() + LEAST_INTERVAL;
            if subscription.is_none() {
                let feed = &self.desk.ports.feed;
                subscription = tokio::select! {
                    subscribed = feed.subscribe(CONSUMER, &[Stream::Revocations]) => subscribed.ok(),
                    () = stop.cancelled() => return,
                };
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(Instant::now() + CHECK_INTERVAL) => continue,
                () = heard(&mut subscription) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(earliest) => {}
            }
        }
    }

    /// Publishes a CRL if something was revoked since the last, it is due, or the read model lost it.
    async fn publish_if_needed(&mut self) -> Result<(), PublishError> {
        let issuer = self.desk.authority.id().clone();
        let views = Arc::clone(&self.desk.ports.aggregates.views);
        let path = self.path();
        let kept = files::read(&path).map_err(PublishError::File)?;
        let kept = kept.map(Last::parse).transpose()?;
        let published = views.crl(&issuer).await.map_err(PublishError::View)?;
        // After the last CRLs were read: whatever they list is in what is read now.
        self.catch_up().await?;
        let last = newer(kept, published.as_deref());
        let now = now();
        let number = last.as_ref().map_or(0, |last| last.number);
        let number = number.max(published.as_ref().map_or(0, |crl| crl.number));
        let plan = CrlPlan::new(
            &self.desk.authority,
            next_number(number, now),
            now,
            self.desk.settings.crl_validity,
            self.revocations.values(),
        );
        let current = last.as_ref().is_some_and(|last| {
            last.made.plus(self.desk.settings.crl_refresh) > now
                && last.lists(&plan)
                && published.as_ref().is_none_or(|published| last.may_replace(published))
        });
        if let (true, Some(last)) = (current, &last) {
            if published.is_none_or(|published| published.number < last.number) {
                views.put_crl(&issuer, &last.crl()).await.map_err(PublishError::View)?;
            }
            return Ok(());
        }
        let der = sign_crl(&self.desk.authority, &plan).map_err(PublishError::Crl)?;
        if let Some(last) = &last {
            let period = self.desk.settings.crl_validity;
            check_successor(&last.der, &der, period, self.revocations.values())
                .map_err(PublishError::Successor)?;
        }
        files::replace(&path, &der).map_err(PublishError::File)?;
        let crl = Crl { der, number: plan.number, next_update: plan.next_update };
        views.put_crl(&issuer, &crl).await.map_err(PublishError::View)?;
        info!(%issuer, number = plan.number, revoked = plan.entries.len(), "crl published");
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into a double")]
        metrics::gauge!(names::CRL_NEXT_UPDATE, "issuer" => issuer.to_string())
            .set(plan.next_update.unix_seconds() as f64);
        Ok(())
    }

    /// Reads the revocations that are new in the log.
    async fn catch_up(&mut self) -> Result<(), PublishError> {
        let store = Arc::clone(&self.desk.ports.aggregates.store);
        loop {
            let page = store
                .scan(Stream::Revocations, self.read_to, PAGE)
                .await
                .map_err(PublishError::Store)?;
            let Some(last) = page.last().map(|message| message.sequence) else { return Ok(()) };
            for message in &page {
                let events: Vec<RevocationEvent> =
                    message.envelope.decode().map_err(PublishError::Decode)?;
                for RevocationEvent::CertRevoked(revoked) in events {
                    self.revocations.entry(revoked.serial.clone()).or_insert(revoked);
                }
            }
            self.desk.positions.acknowledged(Stream::Revocations, last);
            self.read_to = last;
        }
    }

    fn path(&self) -> PathBuf {
        self.desk.settings.dir.join(format!("{}.crl", self.desk.authority.id()))
    }
}

/// Grows even when the last CRL was lost with the signer's disk: no number of the past can be above the time.
fn next_number(last: u64, now: Timestamp) -> u64 {
    u64::try_from(now.unix_seconds()).unwrap_or(0).max(last + 1)
}

/// The CRL to follow: that of another signer may be newer than ours, and is all there is when our disk was lost.
fn newer(kept: Option<Last>, published: Option<&Crl>) -> Option<Last> {
    let newer = published.filter(|crl| kept.as_ref().is_none_or(|kept| kept.number < crl.number));
    // The read model is a cache: what it holds damaged is not asked.
    newer.and_then(|crl| Last::parse(crl.der.clone()).ok()).or(kept)
}

/// Waits for a revocation; without a subscription, for ever.
async fn heard(subscription: &mut Option<Box<dyn Subscription>>) {
    let Some(open) = subscription else { return std::future::pending().await };
    match open.next().await {
        Ok(delivery) => {
            if let Err(error) = delivery.ack().await {
                warn!(error = &error as &dyn std::error::Error, "delivery not acknowledged");
            }
        }
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "revocations are not delivered");
            *subscription = None;
        }
    }
}

/// The CRL that was published last.
struct Last {
    der: Vec<u8>,
    number: u64,
    made: Timestamp,
    next_update: Timestamp,
    serials: Vec<Serial>,
}

impl Last {
    fn parse(der: Vec<u8>) -> Result<Self, PublishError> {
        let Ok(([], crl)) = CertificateRevocationList::from_der(&der) else {
            return Err(PublishError::Damaged);
        };
        let number = crl.crl_number().and_then(|number| u64::try_from(number).ok());
        let next_update = crl.next_update().ok_or(PublishError::Damaged)?;
        let serials = crl
            .iter_revoked_certificates()
            .map(|revoked| Serial::from_octets(revoked.raw_serial()))
            .collect::<Result<_, _>>();
        Ok(Self {
            number: number.ok_or(PublishError::Damaged)?,
            made: Timestamp::from_unix_seconds(crl.last_update().timestamp()),
            next_update: Timestamp::from_unix_seconds(next_update.timestamp()),
            serials: serials.map_err(|_| PublishError::Damaged)?,
            der,
        })
    }

    /// Whether it lists everything that a new one would.
    fn lists(&self, plan: &CrlPlan) -> bool {
        let listed: std::collections::BTreeSet<&Serial> = self.serials.iter().collect();
        plan.entries.keys().all(|serial| listed.contains(serial))
    }

    /// Whether what is published is this one or older: two signers may have given two CRLs one number.
    fn may_replace(&self, published: &Crl) -> bool {
        published.number != self.number || published.der == self.der
    }

    fn crl(&self) -> Crl {
        Crl { der: self.der.clone(), number: self.number, next_update: self.next_update }
    }
}
