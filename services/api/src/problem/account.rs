//! Refusals by the rules of accounts and their keys.

use acme::jws::BadSignature;
use domain::{account, external_key, key_use};

use super::Refusal;

impl From<account::Rejection> for Refusal {
    fn from(rejection: account::Rejection) -> Self {
        match rejection {
            account::Rejection::NotFound => Self::AccountDoesNotExist,
            account::Rejection::Deactivated => Self::AccountDeactivated,
            account::Rejection::KeyReplaced => Self::BadSignature,
            account::Rejection::ClaimTooOld => Self::Unavailable(rejection.into()),
            account::Rejection::TooManyKeys => Self::TooManyKeys,
        }
    }
}

impl From<external_key::Rejection> for Refusal {
    fn from(rejection: external_key::Rejection) -> Self {
        Self::BindingRefused(rejection.into())
    }
}

/// Another request claimed the key or made an account with it at the same time: the client's next attempt finds out which.
impl From<key_use::Rejection> for Refusal {
    fn from(rejection: key_use::Rejection) -> Self {
        Self::Unavailable(rejection.into())
    }
}

impl From<BadSignature> for Refusal {
    fn from(error: BadSignature) -> Self {
        match error {
            BadSignature::Algorithm => Self::WrongAlgorithm,
            BadSignature::Signature => Self::BadSignature,
        }
    }
}

#[cfg(test)]
mod tests {
    use acme::ErrorType;
    use domain::account::Rejection::{
        ClaimTooOld, Deactivated, KeyReplaced, NotFound, TooManyKeys,
    };

    use crate::problem::tests::assert_told;

    #[test]
    fn what_the_rules_of_accounts_forbid_is_told_by_what_clients_act_on() {
        for (rejection, kind, status, detail) in [
            (NotFound, ErrorType::AccountDoesNotExist, 400, "not exist"),
            (Deactivated, ErrorType::Unauthorized, 401, "deactivated"),
            (KeyReplaced, ErrorType::Unauthorized, 400, "signature"),
            (ClaimTooOld, ErrorType::ServerInternal, 503, "again"),
            (TooManyKeys, ErrorType::Unauthorized, 403, "too often"),
        ] {
            assert_told(&rejection.into(), (kind, status), detail);
        }
    }
}
