//! Refusals by the rules of pre-authorizations.

use domain::pre_authorization::{Overtaken, Rejection};

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

/// Other requests listed theirs at the same time: the client's next attempt finds one of them.
impl From<Overtaken> for Refusal {
    fn from(overtaken: Overtaken) -> Self {
        Self::Unavailable(overtaken.into())
    }
}
