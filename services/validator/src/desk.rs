//! Where tasks are done: what they need, and how their deliveries are settled.

use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};

use domain::{
    AccountId, ProfileName, Timestamp,
    order::{Order, Retries},
    pre_authorization::PreAuthorization,
};
use eventstore::{Actor, Context, Delivery, ExecuteError, LoadError, Message, Wake};
use readmodel::{View, Viewed};
use runtime::{
    LogThrottle,
    config::BaseUrl,
    telemetry::{current_traceparent, set_parent},
};
use time::OffsetDateTime;
use tracing::{Instrument as _, debug, info_span, warn};
use validation::{Exhausted, Validator};

use crate::{
    Ports, Settings, caa, challenge,
    task::{Applicant, Task},
    waiting::Waiting,
};

/// When a task comes back that the log did not let us record.
const LOG_DELAY: Duration = Duration::from_secs(2);
/// When a task comes back that this machine had no file, port or memory left for.
const EXHAUSTED_DELAY: Duration = Duration::from_secs(5);
/// When a task comes back whose profile this node does not know, or knows otherwise; one with the newer configuration
/// may take it.
const PROFILE_DELAY: Duration = Duration::from_secs(10);

/// Where tasks are done.
pub(crate) struct Desk {
    /// The validators by profile.
    validators: HashMap<ProfileName, Arc<Validator>>,
    /// How often and when a failed challenge is looked at again.
    pub(crate) retries: Retries,
    /// Those that wait for that.
    pub(crate) waiting: Waiting,
    /// Bounds how often the same failure of tasks that will be done again is logged.
    complaints: LogThrottle,
    base_url: BaseUrl,
    pub(crate) ports: Ports,
}

/// When a task that is done for now comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Never: there is nothing left to do.
    Done,
    /// After this time.
    Again(Duration),
}

/// Why a task is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfinished {
    #[error("the applicant cannot be loaded")]
    Load(#[source] LoadError),
    #[error("the outcome cannot be recorded")]
    Record(#[source] Box<dyn Error + Send + Sync>),
    #[error("the profile {0} is not known here")]
    Profile(ProfileName),
    #[error("the profile {0} does not check CAA here")]
    NoCaa(ProfileName),
    #[error("nothing can be looked at")]
    Exhausted(#[from] Exhausted),
}

impl Desk {
    /// Makes one validator for each group of profiles.
    pub(crate) fn new(
        settings: &Settings,
        ports: Ports,
    ) -> Result<Self, validation::SettingsError> {
        let mut validators = HashMap::new();
        for group in &settings.groups {
            let validator = Arc::new(Validator::new(group.validation.clone())?);
            let profiles = group.profiles.iter().cloned();
            validators.extend(profiles.map(|profile| (profile, Arc::clone(&validator))));
        }
        Ok(Self {
            validators,
            retries: settings.retries,
            waiting: Waiting::default(),
            complaints: LogThrottle::default(),
            base_url: settings.base_url.clone(),
            ports,
        })
    }

    /// Does a task and settles its delivery.
    pub(crate) async fn handle(&self, delivery: Delivery, task: Task) {
        let span = info_span!("validate", applicant = %task.applicant);
        if let Some(traceparent) = &delivery.message.envelope.traceparent {
            set_parent(&span, traceparent);
        }
        async {
            let settled = match delivery.while_in_progress(self.work(&delivery, &task)).await {
                Ok(Next::Done) => delivery.ack().await,
                Ok(Next::Again(wait)) => delivery.nak(wait).await,
                Err(unfinished) => {
                    self.tell(&unfinished);
                    delivery.nak(unfinished.delay()).await
                }
            };
            // The message comes again; what it is for will then say that it is done.
            if let Err(error) = settled {
                warn!(error = &error as &dyn Error, "delivery not settled; it comes again");
            }
        }
        .instrument(span)
        .await;
    }

    async fn work(&self, delivery: &Delivery, task: &Task) -> Result<Next, Unfinished> {
        let mut next = Next::Done;
        for ready in &task.ready {
            next = next.sooner(match &task.applicant {
                Applicant::Order(id) => challenge::look::<Order>(self, delivery, id, ready).await?,
                Applicant::PreAuthorization(id) => {
                    challenge::look::<PreAuthorization>(self, delivery, id, ready).await?
                }
            });
        }
        if let Applicant::Order(order) = &task.applicant
            && !task.caa.is_empty()
        {
            caa::look_again(self, &delivery.message, order, &task.caa).await?;
        }
        Ok(next)
    }

    /// All that wait for the same come here every few seconds.
    fn tell(&self, unfinished: &Unfinished) {
        let error = unfinished as &(dyn Error + 'static);
        match self.complaints.due(error) {
            Some(untold) => warn!(error, untold, "a task will be done again"),
            None => debug!(error, "a task will be done again"),
        }
    }

    /// The validator of a profile.
    pub(crate) fn validator(&self, profile: &ProfileName) -> Result<&Validator, Unfinished> {
        let validator = self.validators.get(profile).map(Arc::as_ref);
        validator.ok_or_else(|| Unfinished::Profile(profile.clone()))
    }

    /// The URL of an account, as its owner knows it.
    pub(crate) fn account_url(&self, profile: &ProfileName, account: &AccountId) -> String {
        self.base_url.account_url(profile, account)
    }

    /// The order or pre-authorization as the message left it, or later; `None` when it is gone.
    pub(crate) async fn load<A: Viewed>(
        &self,
        id: &A::Id,
        message: &Message,
    ) -> Result<Option<View<A::State>>, Unfinished> {
        let loaded = self.ports.aggregates.load_at_least::<A>(id, message.sequence).await;
        loaded.map_err(Unfinished::Load)
    }

    /// Records what was seen and wakes whoever waits for it; `None` when it is not wanted.
    pub(crate) async fn record<A: Viewed>(
        &self,
        id: &A::Id,
        command: &A::Command,
        message: &Message,
    ) -> Result<Option<View<A::State>>, Unfinished> {
        let context = Context {
            actor: Actor::Validator,
            request_id: message.envelope.request_id.clone(),
            traceparent: current_traceparent().or_else(|| message.envelope.traceparent.clone()),
            at: now(),
        };
        let aggregates = &self.ports.aggregates;
        // Also what has ended: who records it once more writes its view.
        let known = aggregates.load_delivered::<A>(id, message.sequence, |_| true).await;
        let known = known.map_err(Unfinished::Load)?;
        match aggregates.execute::<A>(id, known, command, &context).await {
            Ok(view) => {
                let wake = Wake { subject: message.subject.clone(), sequence: view.sequence };
                self.ports.wakes.publish(wake).await;
                Ok(Some(view))
            }
            // It is gone, or was never asked for this: nothing will change that.
            Err(ExecuteError::Rejected(rejection)) => {
                warn!(%rejection, "the outcome is not wanted");
                Ok(None)
            }
            Err(error) => Err(Unfinished::Record(error.into())),
        }
    }
}

impl Next {
    fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Again(one), Self::Again(another)) => Self::Again(one.min(another)),
            (Self::Again(wait), Self::Done) | (Self::Done, Self::Again(wait)) => Self::Again(wait),
            (Self::Done, Self::Done) => Self::Done,
        }
    }
}

impl Unfinished {
    fn delay(&self) -> Duration {
        match self {
            Self::Load(_) | Self::Record(_) => LOG_DELAY,
            Self::Profile(_) | Self::NoCaa(_) => PROFILE_DELAY,
            Self::Exhausted(_) => EXHAUSTED_DELAY,
        }
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    OffsetDateTime::now_utc().into()
}
