//! One ready challenge: validated, its outcome appended, whoever waits for it woken.

use std::{collections::HashMap, error::Error, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use domain::{
    AccountId, Evidence, Failure, FailureKind, Identifier, OrderId, ProfileName, Timestamp,
    order::{
        AuthorizationStatus, ChallengeFailed, ChallengeReady, ChallengeValidated, Command, Event,
        Order, State,
    },
};
use eventstore::{Actor, Context, DecodeError, Delivery, ExecuteError, Message, Wake};
use futures::FutureExt as _;
use metrics::{counter, histogram};
use readmodel::LoadError;
use runtime::{current_traceparent, metrics::names, set_parent};
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{Instrument as _, error, info, info_span, warn};
use validation::{Rejected, Validator};

use crate::{Ports, Settings};

/// When a challenge comes back that the log did not let us record.
const LOG_DELAY: Duration = Duration::from_secs(2);
/// When a challenge comes back whose profile this node does not know; one with the newer configuration may take it.
const PROFILE_DELAY: Duration = Duration::from_secs(10);
/// The type of the events that are work for a validator.
const READY: &str = "ChallengeReady";

/// The validators by profile.
pub(crate) struct Validators(HashMap<ProfileName, Arc<Validator>>);

/// What is to be done for one message.
pub(crate) struct Task {
    /// Whose turn it is.
    pub(crate) account: AccountId,
    order: OrderId,
    ready: Vec<ChallengeReady>,
}

/// Where tasks are done.
pub(crate) struct Desk {
    pub(crate) validators: Validators,
    pub(crate) ports: Ports,
}

/// Why a task is not done.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error("the order cannot be loaded")]
    Load(#[source] LoadError),
    #[error("the outcome cannot be recorded")]
    Record(#[source] ExecuteError<domain::order::Rejection>),
    #[error("the profile {0} is not known here")]
    Profile(ProfileName),
}

impl Validators {
    /// Makes one validator for each group of profiles.
    pub(crate) fn new(settings: &Settings) -> Result<Self, validation::SettingsError> {
        let mut by_profile = HashMap::new();
        for group in &settings.groups {
            let validator = Arc::new(Validator::new(group.validation.clone())?);
            let profiles = group.profiles.iter().cloned();
            by_profile.extend(profiles.map(|profile| (profile, Arc::clone(&validator))));
        }
        Ok(Self(by_profile))
    }
}

impl Task {
    /// The task in a message; `None` when there is nothing for a validator in it.
    pub(crate) fn of(message: &Message) -> Result<Option<Self>, DecodeError> {
        let mut ready = Vec::new();
        for stored in &message.envelope.events {
            // Only what is ours is decoded: an event of a newer release must not hold up the challenges of this one.
            if stored.kind()?.0 == READY
                && let Event::ChallengeReady(event) = stored.decode()?
            {
                ready.push(event);
            }
        }
        let Some(order) = message.subject.order_id() else { return Ok(None) };
        let account = ready.first().map(|first| first.account.clone());
        Ok(account.map(|account| Self { account, order, ready }))
    }
}

impl Desk {
    /// Does a task and settles its delivery.
    pub(crate) async fn handle(&self, delivery: Delivery, task: Task) {
        let span = info_span!("validate", order = %task.order);
        if let Some(traceparent) = &delivery.message.envelope.traceparent {
            set_parent(&span, traceparent);
        }
        async {
            let settled = match delivery.while_in_progress(self.work(&delivery, &task)).await {
                Ok(()) => delivery.ack().await,
                Err(unfinished) => {
                    warn!(error = &unfinished as &dyn Error, "a challenge will be validated again");
                    delivery.nak(unfinished.delay()).await
                }
            };
            // The message comes again; the order will then say that it is done.
            if let Err(error) = settled {
                warn!(error = &error as &dyn Error, "a delivery was not settled");
            }
        }
        .instrument(span)
        .await;
    }

    async fn work(&self, delivery: &Delivery, task: &Task) -> Result<(), Unfinished> {
        for ready in &task.ready {
            if delivery.attempt > 1 && !self.is_wanted(&task.order, ready).await? {
                continue;
            }
            let profile = &ready.profile;
            let validator = self.validators.0.get(profile);
            let validator = validator.ok_or_else(|| Unfinished::Profile(profile.clone()))?;
            let outcome = validate(validator, ready).await;
            self.record(&task.order, ready, outcome, &delivery.message).await?;
        }
        Ok(())
    }

    /// Whether a challenge that was delivered before still waits for a validator.
    async fn is_wanted(&self, order: &OrderId, ready: &ChallengeReady) -> Result<bool, Unfinished> {
        let loaded = self.ports.aggregates.load::<Order>(order).await.map_err(Unfinished::Load)?;
        Ok(loaded.is_some_and(|order| is_undecided(&order.state, ready, now())))
    }

    async fn record(
        &self,
        order: &OrderId,
        ready: &ChallengeReady,
        outcome: Result<Evidence, Box<Rejected>>,
        message: &Message,
    ) -> Result<(), Unfinished> {
        let at = now();
        let context = Context {
            actor: Actor::Validator,
            request_id: message.envelope.request_id.clone(),
            traceparent: current_traceparent().or_else(|| message.envelope.traceparent.clone()),
            at,
        };
        let aggregates = &self.ports.aggregates;
        let known = aggregates
            .load_at_least::<Order>(order, message.sequence)
            .await
            .map_err(Unfinished::Load)?;
        let command = command(ready, outcome, at);
        match aggregates.execute::<Order>(order, known, &command, &context).await {
            Ok(view) => {
                let wake = Wake { subject: message.subject.clone(), sequence: view.sequence };
                self.ports.wakes.publish(wake).await;
                Ok(())
            }
            // The order is gone, or was never asked for this: nothing will change that.
            Err(ExecuteError::Rejected(rejection)) => {
                warn!(%rejection, "the order does not want the outcome");
                Ok(())
            }
            Err(error) => Err(Unfinished::Record(error)),
        }
    }
}

impl Unfinished {
    fn delay(&self) -> Duration {
        match self {
            Self::Load(_) | Self::Record(_) => LOG_DELAY,
            Self::Profile(_) => PROFILE_DELAY,
        }
    }
}

async fn validate(
    validator: &Validator,
    ready: &ChallengeReady,
) -> Result<Evidence, Box<Rejected>> {
    let Identifier::Dns(name) = &ready.identifier;
    let started = Instant::now();
    let running = validator.validate(ready.challenge, name, &ready.token, &ready.key_authorization);
    // A panic is a bug; delivered again and again it would take every slot.
    let outcome = AssertUnwindSafe(running).catch_unwind().await.unwrap_or_else(|_| {
        error!(identifier = %ready.identifier, challenge = %ready.challenge, "a validation panicked");
        let failure = Failure::new(FailureKind::ServerInternal, "the validation failed unexpectedly");
        Err(Box::new(Rejected { failure, evidence: Evidence::default() }))
    });
    let result = if outcome.is_ok() { "valid" } else { "invalid" };
    let kind = ready.challenge.as_str();
    counter!(names::VALIDATIONS, "type" => kind, "outcome" => result).increment(1);
    histogram!(names::VALIDATION_SECONDS, "type" => kind).record(started.elapsed().as_secs_f64());
    match &outcome {
        Ok(_) => info!(identifier = %ready.identifier, challenge = kind, "challenge validated"),
        Err(rejected) => info!(
            identifier = %ready.identifier,
            challenge = kind,
            detail = rejected.failure.detail,
            "challenge failed"
        ),
    }
    outcome
}

fn command(
    ready: &ChallengeReady,
    outcome: Result<Evidence, Box<Rejected>>,
    at: Timestamp,
) -> Command {
    let (authorization, challenge) = (ready.authorization, ready.challenge);
    let identifier = ready.identifier.clone();
    match outcome {
        Ok(evidence) => Command::RecordValidation(ChallengeValidated {
            authorization,
            challenge,
            identifier,
            at,
            evidence,
        }),
        Err(rejected) => {
            let Rejected { failure, evidence } = *rejected;
            Command::RecordFailure(ChallengeFailed {
                authorization,
                challenge,
                identifier,
                at,
                failure,
                evidence,
            })
        }
    }
}

/// A view may lag behind the delivery and show the challenge as still pending: that is undecided too.
fn is_undecided(order: &State, ready: &ChallengeReady, now: Timestamp) -> bool {
    let authorization = order.authorization(ready.authorization);
    authorization.is_some_and(|authorization| {
        order.authorization_status(authorization, now) == AuthorizationStatus::Pending
    })
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    OffsetDateTime::now_utc().into()
}
