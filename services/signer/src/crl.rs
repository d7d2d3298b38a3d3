//! Publishes CRLs: at once after a revocation, and in time before the last one ends.

mod last;
mod questions;
mod revocations;

use std::{path::PathBuf, sync::Arc, time::Duration};

use ca::{CrlError, CrlPlan, check_successor, sign_crl};
use domain::{
    CrlName, CrlShards, IssuerId, Timestamp,
    certificate::{CertRevoked, CrlDivided, CrlDivision, Revocation},
};
use eventstore::{LoadError, Loaded, Stream, Subject, Subscription, execute, load};
use futures::future::try_join_all;
use readmodel::Crl;
use tokio::{
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(crate) use self::questions::serve;
use self::{last::Last, revocations::Revocations};
use crate::{
    IssuanceError,
    desk::{Desk, context, now},
    files,
    issuers::Issuer,
    measure,
};

/// The name of the publishers' durable consumer.
const CONSUMER: &str = "crl";
/// Revocations that come faster than this share a CRL.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is checked that the published CRLs are still there and not due.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// A number is the time in seconds since 1970, or one more than the last number. A greater one in the read model is not ours,
/// and might leave none to follow it.
const MAX_NUMBER: u64 = 1 << 40;
/// How many forgotten revocations are read from the log at once.
const READS_AT_ONCE: usize = 16;

/// Clones share what they know.
#[derive(Clone)]
pub(crate) struct Publisher {
    desk: Arc<Desk>,
    revocations: Arc<Revocations>,
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

/// What was published last under a name.
struct Before {
    name: CrlName,
    /// The CRL that the next one follows.
    last: Option<Last>,
    /// What the read model has.
    published: Option<Arc<Crl>>,
}

/// What is to be done about a CRL.
enum Decision {
    /// The last one stands; the read model may have lost it.
    Keep { name: CrlName, last: Last, published: Option<Arc<Crl>> },
    /// Another one is due.
    Replace(Before, Next),
}

/// A CRL to be made.
struct Next {
    plan: CrlPlan,
    /// Revocations that the last CRL lists, this one does not, and that are no longer in memory.
    forgotten: Vec<Subject>,
}

impl Publisher {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self { desk, revocations: Arc::default() }
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
                () = self.desk.crl_missed.notified() => sleep(LEAST_INTERVAL).await,
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
        self.desk.revocation_heard.notify_one();
    }

    /// Publishes the CRLs on which something is missing, that are due, or that the read model lost.
    async fn publish_if_needed(&mut self) -> Result<(), PublishError> {
        let desk = Arc::clone(&self.desk);
        Arc::make_mut(&mut self.revocations).catch_up(&desk).await?;
        let issuers = desk.issuers.all();
        let crls = issuers.flat_map(|issuer| self.revocations.crls(issuer.id())).collect();
        desk.crls.send_replace(Some(crls));
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

    async fn before(&self, issuer: &Arc<Issuer>, name: &CrlName) -> Result<Before, PublishError> {
        let views = &self.desk.ports.aggregates.views;
        let published = views.crl(name).await.map_err(PublishError::View)?;
        let (path, issuer, name) = (self.path(name), Arc::clone(issuer), name.clone());
        apart(move || {
            let kept = files::read(&path).map_err(PublishError::File)?;
            let kept = kept.map(Last::parse).transpose()?;
            // Our own may be above it, where it followed one that was not.
            let most = kept.as_ref().map_or(MAX_NUMBER, |kept| kept.number.max(MAX_NUMBER));
            if published.as_ref().is_some_and(|crl| crl.number > most) {
                return Err(PublishError::Number);
            }
            let last = Last::to_follow(kept, published.as_deref(), &issuer.authority);
            Ok(Before { name, last, published })
        })
        .await
    }

    /// Publishes one CRL if that is needed, and returns when the published one is valid.
    async fn publish(
        &self,
        issuer: &Arc<Issuer>,
        before: Before,
    ) -> Result<Validity, PublishError> {
        let (now, own, of) = (now(), self.clone(), Arc::clone(issuer));
        let views = &self.desk.ports.aggregates.views;
        match apart(move || Ok(own.decide(&of, before, now))).await? {
            Decision::Keep { name, last, published } => {
                if published.is_none_or(|published| published.number < last.number) {
                    views.put_crl(&name, &last.crl()).await.map_err(PublishError::View)?;
                }
                Ok((last.made, last.next_update))
            }
            Decision::Replace(before, next) => {
                let (name, revoked) = (before.name.clone(), next.plan.entries.len());
                let crl = self.make(issuer, before, next).await?;
                views.put_crl(&name, &crl).await.map_err(PublishError::View)?;
                info!(crl = %name, number = crl.number, revoked, "CRL published");
                Ok((now, crl.next_update))
            }
        }
    }

    fn decide(&self, issuer: &Issuer, before: Before, now: Timestamp) -> Decision {
        let plan = self.plan(issuer, &before, now);
        let is_current = self.is_current(&before, &plan, now);
        let Before { name, last, published } = before;
        match last {
            Some(last) if is_current => Decision::Keep { name, last, published },
            last => {
                let dropped = last.iter().flat_map(|last| last.not_in(&plan));
                let forgotten = dropped
                    .filter(|serial| !self.revocations.holds(issuer.id(), serial))
                    .map(|serial| Subject::revocation(issuer.id(), serial))
                    .collect();
                Decision::Replace(Before { name, last, published }, Next { plan, forgotten })
            }
        }
    }

    /// What a CRL that is made now would say.
    fn plan(&self, issuer: &Issuer, before: &Before, now: Timestamp) -> CrlPlan {
        let Before { name, last, published } = before;
        let number = last.as_ref().map_or(0, |last| last.number);
        let number = number.max(published.as_ref().map_or(0, |crl| crl.number));
        let (number, period) = (next_number(number, now), self.desk.settings.crl_validity);
        let revocations = self.revocations.of(name);
        let plan = CrlPlan::new(&issuer.authority, number, now, period, revocations)
            .limited_to(name, self.revocations.urls(name));
        match last.as_ref().filter(|last| last.made > now) {
            Some(last) => {
                warn!(crl = %name, made = %last.made, "the last CRL is from the future: was the clock wrong?");
                plan.not_ending_before(last.next_update, period)
            }
            None => plan,
        }
    }

    /// Whether there is a last CRL that needs no other after it.
    fn is_current(&self, before: &Before, plan: &CrlPlan, now: Timestamp) -> bool {
        let (Some(last), settings) = (&before.last, &self.desk.settings) else { return false };
        let left_at_refresh = settings.crl_validity.saturating_sub(settings.crl_refresh);
        let restored_at = self.desk.restored_at.get();
        last.made <= now
            // What was published after the copy is known to those who read it, and a number must not go back.
            && restored_at.is_none_or(|restored| last.made >= restored.whole_seconds())
            && last.made.plus(settings.crl_refresh) > now
            // It may have been made when CRLs were valid for less.
            && last.next_update >= now.plus(left_at_refresh)
            && last.says_all_of(plan)
            && before.published.as_ref().is_none_or(|published| {
                published.number <= last.number && last.may_replace(published)
            })
    }

    /// Signs a CRL, sees that it follows the last one, and keeps it before anybody is shown it.
    async fn make(
        &self,
        issuer: &Arc<Issuer>,
        before: Before,
        Next { plan, forgotten }: Next,
    ) -> Result<Crl, PublishError> {
        let forgotten = self.read(&forgotten).await?;
        let started = std::time::Instant::now();
        let (number, next_update) = (plan.number, plan.next_update);
        let signed = issuer.sign_apart(move |authority| sign_crl(authority, &plan)).await;
        let missing = CrlError::Build(rcgen::Error::RemoteKeyError);
        let der = signed.unwrap_or(Err(missing)).map_err(PublishError::Crl)?;
        measure::signed("crl", started);
        let own = self.clone();
        apart(move || {
            if let Some(last) = &before.last {
                let period = own.desk.settings.crl_validity;
                let revocations = own.revocations.of(&before.name).chain(&forgotten);
                check_successor(&last.der, &der, period, revocations)
                    .map_err(PublishError::Successor)?;
            }
            files::replace(&own.path(&before.name), &der).map_err(PublishError::File)?;
            Ok(Crl { der, number, next_update })
        })
        .await
    }

    /// Reads revocations from the log.
    async fn read(&self, forgotten: &[Subject]) -> Result<Vec<CertRevoked>, PublishError> {
        let (store, mut found) = (self.desk.ports.aggregates.store.as_ref(), Vec::new());
        for some in forgotten.chunks(READS_AT_ONCE) {
            let loads = some.iter().map(|it| load::<Revocation>(store, it, Loaded::default()));
            let loaded = try_join_all(loads).await.map_err(|error| match error {
                LoadError::Store(source) => PublishError::Store(source),
                LoadError::Decode(source) => PublishError::Decode(source),
            })?;
            found.extend(loaded.into_iter().filter_map(|it| it.state).map(|it| it.revoked));
        }
        Ok(found)
    }

    fn path(&self, name: &CrlName) -> PathBuf {
        self.desk.settings.crl_file(name)
    }
}

/// Works on a thread that serves nobody else: a CRL may have hundreds of thousands of entries.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    spawn_blocking(work).await.map_err(PublishError::Thread)?
}

/// Grows even when the last CRL was lost with the signer's disk: no number of the past can be above the time.
fn next_number(last: u64, now: Timestamp) -> u64 {
    u64::try_from(now.unix_seconds()).unwrap_or(0).max(last + 1)
}
