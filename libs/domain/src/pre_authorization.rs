//! A pre-authorization (RFC 8555 §7.4.1): an authorization that a client asks for before it orders. An aggregate of its
//! own, which later orders of the same account rely on.

mod event;
mod listing;

use crate::{
    AccountId, Aggregate, ChallengeType, PreAuthorizationId, ProfileName, Thumbprint, Timestamp,
    authorization::{self, Proving},
    order::{
        Authorization, AuthorizationDeactivated, AuthorizationIndex, AuthorizationPlaced,
        AuthorizationStatus, ChallengeFailed, ChallengePlaced, ChallengeStatus, ChallengeValidated,
        ReliedOn, Retries,
    },
};
pub use event::{Event, PreAuthorizationPlaced};
pub use listing::{List, Listing, ListingEvent, ListingState, Overtaken, PreAuthorizationListed};

/// The pre-authorization aggregate.
#[derive(Debug)]
pub enum PreAuthorization {}

/// A pre-authorization as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its id.
    pub id: PreAuthorizationId,
    /// The profile whose rules it follows.
    pub profile: ProfileName,
    /// The account that asked for it.
    pub account: AccountId,
    /// When it was asked for.
    pub placed_at: Timestamp,
    /// When it ends, proven or not.
    pub expires_at: Timestamp,
    /// What is to be proven, and how far that came.
    pub authorization: Authorization,
}

/// What can be asked of a pre-authorization.
#[derive(Clone, Debug)]
pub enum Command {
    /// Makes it.
    Place(PreAuthorizationPlaced),
    /// The client is ready for a challenge to be validated.
    RespondToChallenge {
        /// Which one.
        challenge: ChallengeType,
        /// The thumbprint of the account's key, for the key authorization.
        thumbprint: Thumbprint,
        /// Now.
        now: Timestamp,
    },
    /// A validator saw the proof.
    RecordValidation(ChallengeValidated),
    /// A validator did not see the proof.
    RecordFailure {
        /// What it saw instead.
        failed: ChallengeFailed,
        /// Whether it is worth looking again, and how often; `None`: the failure is final.
        retries: Option<Retries>,
    },
    /// The holder gives it up (RFC 8555 §7.5.2).
    Deactivate {
        /// Now.
        now: Timestamp,
    },
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such pre-authorization.
    #[error("the pre-authorization does not exist")]
    NotFound,
    /// There is one of that id.
    #[error("the pre-authorization exists already")]
    AlreadyExists,
    /// It is for a wildcard, or offers no challenge, or ends before it begins.
    #[error("the pre-authorization proves nothing")]
    Incomplete,
    /// It has no such challenge.
    #[error("the challenge does not exist")]
    NoSuchChallenge,
    /// It is decided, or its time is over.
    #[error("the pre-authorization is not pending")]
    NotPending,
    /// A validator answered for another identifier.
    #[error("the validation is for another identifier")]
    WrongIdentifier,
    /// There is nothing left to give up.
    #[error("the pre-authorization has ended")]
    Ended,
}

impl From<authorization::Rejection> for Rejection {
    fn from(rejection: authorization::Rejection) -> Self {
        match rejection {
            authorization::Rejection::NoSuchChallenge => Self::NoSuchChallenge,
            authorization::Rejection::NotPending => Self::NotPending,
            authorization::Rejection::WrongIdentifier => Self::WrongIdentifier,
        }
    }
}

impl State {
    /// The status at a time.
    pub fn status(&self, now: Timestamp) -> AuthorizationStatus {
        self.authorization.status(self.expires_at, now)
    }

    /// What an order that is placed at a time can take it for; `None` unless it is valid then.
    pub fn as_proof(&self, now: Timestamp) -> Option<AuthorizationPlaced> {
        if self.status(now) != AuthorizationStatus::Valid {
            return None;
        }
        let proof = self.authorization.proof()?;
        let ChallengeStatus::Valid { at } = proof.status else { return None };
        Some(AuthorizationPlaced {
            identifier: self.authorization.identifier.clone(),
            wildcard: false,
            challenges: vec![ChallengePlaced { kind: proof.kind, token: proof.token.clone() }],
            relies_on: Some(ReliedOn {
                id: self.id.clone(),
                validated_at: at,
                caa_checked_at: self.authorization.caa_checked_at,
                expires_at: self.expires_at,
            }),
        })
    }

    fn proving(&self) -> Proving<'_> {
        Proving {
            index: AuthorizationIndex::FIRST,
            authorization: &self.authorization,
            account: &self.account,
            profile: &self.profile,
            expires_at: self.expires_at,
        }
    }
}

impl Aggregate for PreAuthorization {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: Option<&State>, command: &Command) -> Result<Vec<Event>, Rejection> {
        let Some(state) = state else {
            let Command::Place(placed) = command else { return Err(Rejection::NotFound) };
            return place(placed);
        };
        let event = match command {
            Command::Place(_) => return Err(Rejection::AlreadyExists),
            Command::RespondToChallenge { challenge, thumbprint, now } => {
                state.proving().respond(*challenge, thumbprint, *now)?.map(Event::ChallengeReady)
            }
            Command::RecordValidation(validated) => {
                state.proving().take_proof(validated)?.map(Event::ChallengeValidated)
            }
            Command::RecordFailure { failed, retries } => {
                state.proving().fail(failed, *retries)?.map(Event::from)
            }
            Command::Deactivate { now } => return deactivate(state, *now),
        };
        Ok(event.into_iter().collect())
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        match (state, event) {
            (None, Event::PreAuthorizationPlaced(placed)) => Some(placed_state(placed)),
            (Some(mut state), event) => {
                let authorization = &mut state.authorization;
                match event {
                    Event::PreAuthorizationPlaced(_) => {}
                    Event::ChallengeReady(ready) => authorization.make_ready(ready),
                    Event::ChallengeValidated(validated) => authorization.take_proof(validated),
                    Event::ChallengeFailed(failed) => authorization.fail(failed),
                    Event::ChallengeAttemptFailed(failed) => authorization.count_failure(failed),
                    Event::AuthorizationDeactivated(_) => authorization.deactivated = true,
                }
                Some(state)
            }
            (None, _) => None,
        }
    }
}

fn place(placed: &PreAuthorizationPlaced) -> Result<Vec<Event>, Rejection> {
    let proves_something = !placed.identifier.is_wildcard()
        && !placed.challenges.is_empty()
        && placed.at < placed.expires_at;
    if !proves_something {
        return Err(Rejection::Incomplete);
    }
    Ok(vec![Event::PreAuthorizationPlaced(placed.clone())])
}

fn placed_state(placed: &PreAuthorizationPlaced) -> State {
    let authorization = AuthorizationPlaced {
        identifier: placed.identifier.clone(),
        wildcard: false,
        challenges: placed.challenges.clone(),
        relies_on: None,
    };
    State {
        id: placed.id.clone(),
        profile: placed.profile.clone(),
        account: placed.account.clone(),
        placed_at: placed.at,
        expires_at: placed.expires_at,
        authorization: Authorization::placed(&authorization),
    }
}

/// It may be given up at any time, also while an order relies on it: what was not signed by then is not signed.
fn deactivate(state: &State, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    match state.status(now) {
        AuthorizationStatus::Pending | AuthorizationStatus::Valid => {
            let authorization = AuthorizationIndex::FIRST;
            Ok(vec![Event::AuthorizationDeactivated(AuthorizationDeactivated { authorization })])
        }
        AuthorizationStatus::Deactivated => Ok(vec![]),
        AuthorizationStatus::Invalid | AuthorizationStatus::Expired => Err(Rejection::Ended),
    }
}
