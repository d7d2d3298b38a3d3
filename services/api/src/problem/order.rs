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
