//! Refusals because the log or the read model cannot do their part now.

use acme::NoncesUnavailable;
use eventstore::{ExecuteError, LoadError};

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

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(source) => Self::Unavailable(source.into()),
            LoadError::Decode(source) => Self::Internal(source.into()),
        }
    }
}

/// Refusals by the rules become problems; failures of the log become 503.
impl<R: std::error::Error + Into<Refusal> + 'static> From<ExecuteError<R>> for Refusal {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Rejected(rejection) => rejection.into(),
            ExecuteError::Store(source) => Self::Unavailable(source.into()),
            ExecuteError::Decode(source) => Self::Internal(source.into()),
            ExecuteError::TooLarge => Self::BodyTooLarge,
        }
    }
}
