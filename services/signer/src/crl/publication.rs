//! One CRL: whether another is due, what it says, and that nobody is shown it before it is kept.

use std::{path::PathBuf, sync::Arc};

use ca::{CrlError, CrlPlan, check_successor, sign_crl};
use domain::{
    CrlName, Timestamp,
    certificate::{CertRevoked, Revocation},
};
use eventstore::{LoadError, Loaded, Subject, load};
use futures::future::try_join_all;
use readmodel::Crl;
use tracing::{info, warn};

use super::{PublishError, Publisher, Validity, apart, last::Last};
use crate::{desk::now, files, issuers::Issuer, measure};

/// A number is the time in seconds since 1970, or one more than the last number. A greater one in the read model is not ours,
/// and might leave none to follow it.
const MAX_NUMBER: u64 = 1 << 40;
/// How many forgotten revocations are read from the log at once.
const READS_AT_ONCE: usize = 16;

/// What was published last under a name.
pub(super) struct Before {
    pub(super) name: CrlName,
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
    /// Reads what was published last under a name.
    pub(super) async fn before(
        &self,
        issuer: &Arc<Issuer>,
        name: &CrlName,
    ) -> Result<Before, PublishError> {
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
    pub(super) async fn publish(
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
            found.extend(loaded.into_iter().filter_map(|it| it.state));
        }
        Ok(found)
    }

    fn path(&self, name: &CrlName) -> PathBuf {
        self.desk.settings.crl_file(name)
    }
}

/// Grows even when the last CRL was lost with the signer's disk: no number of the past can be above the time.
fn next_number(last: u64, now: Timestamp) -> u64 {
    u64::try_from(now.unix_seconds()).unwrap_or(0).max(last + 1)
}
