//! What is to be done for one message of the log.

use std::fmt;

use domain::{
    AccountId, OrderId, PreAuthorizationId,
    order::{CaaCheckNeeded, ChallengeReady, Event},
};
use eventstore::{DecodeError, Message};

/// The types of the events that are work for a validator.
const CHALLENGE_READY: &str = "ChallengeReady";
const CAA_CHECK_NEEDED: &str = "CaaCheckNeeded";

/// Whose challenges are to be validated.
#[derive(Clone, Debug)]
pub(crate) enum Applicant {
    Order(OrderId),
    PreAuthorization(PreAuthorizationId),
}

/// The work that one message asks for.
#[derive(Debug)]
pub(crate) struct Task {
    /// Whose turn it is.
    pub(crate) account: AccountId,
    pub(crate) applicant: Applicant,
    pub(crate) ready: Vec<ChallengeReady>,
    pub(crate) caa: Vec<CaaCheckNeeded>,
}

impl Task {
    /// The task in a message; `None` when there is nothing for a validator in it.
    pub(crate) fn of(message: &Message) -> Result<Option<Self>, DecodeError> {
        let (mut ready, mut caa) = (Vec::new(), Vec::new());
        for stored in &message.envelope.events {
            // Only what is ours is decoded: an event of a newer release must not hold up the challenges of this one.
            let (kind, _) = stored.kind()?;
            if kind == CHALLENGE_READY
                && let Event::ChallengeReady(event) = stored.decode()?
            {
                ready.push(event);
            } else if kind == CAA_CHECK_NEEDED
                && let Event::CaaCheckNeeded(event) = stored.decode()?
            {
                caa.push(event);
            }
        }
        let order = message.subject.order_id().map(Applicant::Order);
        let by_itself = || message.subject.pre_authorization_id().map(Applicant::PreAuthorization);
        let Some(applicant) = order.or_else(by_itself) else { return Ok(None) };
        let of_ready = ready.first().map(|first| first.account.clone());
        let account = of_ready.or_else(|| caa.first().map(|first| first.account.clone()));
        Ok(account.map(|account| Self { account, applicant, ready, caa }))
    }
}

impl fmt::Display for Applicant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(id) => id.fmt(f),
            Self::PreAuthorization(id) => id.fmt(f),
        }
    }
}
