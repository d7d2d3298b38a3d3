//! Refusals because the log or the read model cannot do their part now.

use acme::NoncesUnavailable;
use eventstore::{DecodeError, ExecuteError, LoadError};

use super::Refusal;

impl From<NoncesUnavailable> for Refusal {
    fn from(error: NoncesUnavailable) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<readmodel::Unavailable> for Refusal {
    fn from(error: readmodel::Unavailable) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<eventstore::StoreError> for Refusal {
    fn from(error: eventstore::StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<readmodel::FindError> for Refusal {
    fn from(error: readmodel::FindError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// While nodes are replaced one after the other, those of the former release meet events of the next one: the client comes
/// again, and to a node that knows them.
impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Unknown { .. } => Self::Unavailable(error.into()),
            DecodeError::Malformed(_) => Self::Internal(error.into()),
        }
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(source) => Self::Unavailable(source.into()),
            LoadError::Decode(source) => source.into(),
        }
    }
}

/// Refusals by the rules become problems; failures of the log become 503.
impl<R: std::error::Error + Into<Refusal> + 'static> From<ExecuteError<R>> for Refusal {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Rejected(rejection) => rejection.into(),
            ExecuteError::Store(source) => Self::Unavailable(source.into()),
            ExecuteError::Decode(source) => source.into(),
            ExecuteError::TooLarge => Self::BodyTooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{StatusCode, header};

    use super::*;
    use crate::problem::reply;

    #[test]
    fn what_only_a_newer_release_can_read_is_asked_for_again() {
        let unknown = || DecodeError::Unknown { kind: "OrderPlaced".to_owned(), version: 99 };
        let loading = Refusal::from(LoadError::Decode(unknown()));
        let executing = Refusal::from(ExecuteError::<domain::order::Rejection>::Decode(unknown()));
        for refusal in [loading, executing, unknown().into()] {
            let reply = reply(&refusal, 7).into_response();
            assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(reply.headers()[header::RETRY_AFTER], "7");
        }
    }
}
