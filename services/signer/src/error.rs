//! Why an issuance did not come to its end.

use ca::journal::AppendError as JournalError;
use domain::{ProfileName, order::Rejection};
use eventstore::{DecodeError, ExecuteError, LoadError, StoreError};
use readmodel::Unavailable;

/// An issuance did not come to its end; the order is delivered again later.
#[derive(Debug, thiserror::Error)]
pub enum IssuanceError {
    /// The log is out of reach.
    #[error("the event log failed")]
    Store(#[source] StoreError),
    /// An event cannot be read.
    #[error("an event cannot be read")]
    Decode(#[source] DecodeError),
    /// The journal cannot be written.
    #[error("the journal failed")]
    Journal(#[source] JournalError),
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    JournalRead(#[source] ca::journal::OpenError),
    /// The last CRL cannot be read.
    #[error("the last CRL cannot be read")]
    LastCrl(#[source] std::io::Error),
    /// The read model could not be written; the certificate is safe in the log.
    #[error("the read model failed")]
    View(#[source] Unavailable),
    /// The key did not sign; the serial was given up, unless the same signature can be made later.
    #[error("the certificate was not signed")]
    Sign(#[source] ca::IssueError),
    /// The key is in a token that cannot be used now; nothing was reserved.
    #[error("the token with the CA key cannot be used")]
    KeyAway,
    /// No such profile is configured here; the other nodes may have a newer configuration.
    #[error("the profile {0} is not known here")]
    UnknownProfile(ProfileName),
    /// The OCSP responder's certificate cannot be planned.
    #[error("there is no OCSP responder")]
    OcspResponder(#[source] ca::OcspResponderError),
    /// The operating system gave no random numbers.
    #[error("no random numbers")]
    Random,
    /// The order went on without us.
    #[error("the order changed meanwhile")]
    Overtaken(#[source] Rejection),
    /// The bytes to sign that ledger or journal have are not those of a certificate.
    #[error("the bytes to sign of a reservation cannot be read")]
    UnreadableReservation,
    /// An order has a certificate that the ledger has not.
    #[error("the order's certificate is not in the ledger")]
    LostCertificate,
}

impl IssuanceError {
    /// A command that no rule should have refused had no effect.
    pub(crate) fn of_execution<R: std::error::Error>(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Store(source) => Self::Store(source),
            ExecuteError::Decode(source) => Self::Decode(source),
            ExecuteError::Rejected(_) | ExecuteError::TooLarge => {
                Self::Store(StoreError::unavailable("the event is refused or too large"))
            }
        }
    }
}

impl From<ExecuteError<Rejection>> for IssuanceError {
    fn from(error: ExecuteError<Rejection>) -> Self {
        match error {
            ExecuteError::Rejected(rejection) => Self::Overtaken(rejection),
            error => Self::of_execution(error),
        }
    }
}

impl From<LoadError> for IssuanceError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(source) => Self::Store(source),
            LoadError::Decode(source) => Self::Decode(source),
        }
    }
}
