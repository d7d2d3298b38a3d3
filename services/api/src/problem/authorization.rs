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

#[cfg(test)]
mod tests {
    use acme::ErrorType;

    use super::*;
    use crate::problem::tests::assert_told;

    #[test]
    fn what_the_rules_of_pre_authorizations_forbid_is_told_by_what_clients_act_on() {
        for (rejection, kind, status, detail) in [
            (Rejection::NotFound, ErrorType::Malformed, 404, "no such resource"),
            (Rejection::NotPending, ErrorType::Malformed, 400, "no longer pending"),
            (Rejection::Ended, ErrorType::Malformed, 400, "no longer be deactivated"),
            (Rejection::Incomplete, ErrorType::ServerInternal, 500, "failed"),
        ] {
            assert_told(&rejection.into(), (kind, status), detail);
        }
    }
}
