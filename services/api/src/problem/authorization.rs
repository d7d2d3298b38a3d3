//! Refusals by the rules of pre-authorizations.

use std::convert::Infallible;

use domain::pre_authorization::Rejection;

use super::Refusal;

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotFound | Rejection::NoSuchChallenge => Self::NotFound,
            Rejection::NotPending => Self::AuthorizationNotPending,
            Rejection::Ended => Self::AuthorizationInUse,
            Rejection::AlreadyExists | Rejection::Incomplete | Rejection::WrongIdentifier => {
                Self::Internal(rejection.into())
            }
        }
    }
}

/// What is only listed is never refused.
impl From<Infallible> for Refusal {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
