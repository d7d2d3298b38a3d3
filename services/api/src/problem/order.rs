//! Refusals by the rules of orders.

use domain::order;

use super::Refusal;

impl From<order::Rejection> for Refusal {
    fn from(rejection: order::Rejection) -> Self {
        match rejection {
            order::Rejection::NotFound | order::Rejection::NoSuchChallenge => Self::NotFound,
            order::Rejection::AuthorizationNotPending => Self::AuthorizationNotPending,
            order::Rejection::WrongStatus(status) => Self::OrderNotReady(status),
            order::Rejection::NamesDiffer
            | order::Rejection::AlreadyExists
            | order::Rejection::Incomplete
            | order::Rejection::WrongIdentifier
            | order::Rejection::CaaStale
            | order::Rejection::AlreadyReserved
            | order::Rejection::NotReserved => Self::Internal(rejection.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use acme::ErrorType;
    use domain::order::{
        Rejection::{AuthorizationNotPending, Incomplete, NoSuchChallenge, NotFound, WrongStatus},
        Status,
    };

    use crate::problem::tests::assert_told;

    #[test]
    fn what_the_rules_of_orders_forbid_is_told_by_what_clients_act_on() {
        for (rejection, kind, status, detail) in [
            (NotFound, ErrorType::Malformed, 404, "no such resource"),
            (NoSuchChallenge, ErrorType::Malformed, 404, "no such resource"),
            (AuthorizationNotPending, ErrorType::Malformed, 400, "no longer pending"),
            (WrongStatus(Status::Pending), ErrorType::OrderNotReady, 403, "not valid yet"),
            (WrongStatus(Status::Ready), ErrorType::OrderNotReady, 403, "is ready"),
            (WrongStatus(Status::Processing), ErrorType::OrderNotReady, 403, "is being processed"),
            (WrongStatus(Status::Valid), ErrorType::OrderNotReady, 403, "certificate already"),
            (WrongStatus(Status::Invalid), ErrorType::OrderNotReady, 403, "place a new one"),
            (Incomplete, ErrorType::ServerInternal, 500, "failed"),
        ] {
            assert_told(&rejection.into(), (kind, status), detail);
        }
    }
}
