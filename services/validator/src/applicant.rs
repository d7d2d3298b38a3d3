//! What has challenges to validate: orders, and pre-authorizations.

use domain::{
    Timestamp,
    order::{
        self, Authorization, AuthorizationIndex, AuthorizationStatus, ChallengeFailed,
        ChallengeValidated, Order, Retries,
    },
    pre_authorization::{self, PreAuthorization},
};
use readmodel::Viewed;

use crate::measure;

/// An aggregate with challenges.
pub(crate) trait Applies: Viewed {
    /// The authorization at a place, and its status at a time.
    fn authorization(
        state: &Self::State,
        index: AuthorizationIndex,
        now: Timestamp,
    ) -> Option<(&Authorization, AuthorizationStatus)>;

    /// The command that records a proof.
    fn proven(validated: ChallengeValidated) -> Self::Command;

    /// The command that records a failure.
    fn failed(failed: ChallengeFailed, retries: Option<Retries>) -> Self::Command;

    /// Measures what the outcome just recorded made of it.
    fn measure(state: &Self::State);
}

impl Applies for Order {
    fn authorization(
        state: &order::State,
        index: AuthorizationIndex,
        now: Timestamp,
    ) -> Option<(&Authorization, AuthorizationStatus)> {
        let authorization = state.authorization(index)?;
        Some((authorization, state.authorization_status(authorization, now)))
    }

    fn proven(validated: ChallengeValidated) -> order::Command {
        order::Command::RecordValidation(validated)
    }

    fn failed(failed: ChallengeFailed, retries: Option<Retries>) -> order::Command {
        order::Command::RecordFailure { failed, retries }
    }

    fn measure(state: &order::State) {
        measure::recorded(state);
    }
}

impl Applies for PreAuthorization {
    fn authorization(
        state: &pre_authorization::State,
        _: AuthorizationIndex,
        now: Timestamp,
    ) -> Option<(&Authorization, AuthorizationStatus)> {
        Some((&state.authorization, state.status(now)))
    }

    fn proven(validated: ChallengeValidated) -> pre_authorization::Command {
        pre_authorization::Command::RecordValidation(validated)
    }

    fn failed(failed: ChallengeFailed, retries: Option<Retries>) -> pre_authorization::Command {
        pre_authorization::Command::RecordFailure { failed, retries }
    }

    fn measure(_: &pre_authorization::State) {}
}
