//! What can be asked of an order, and why it may be refused.

use std::time::Duration;

use super::{
    AuthorizationIndex, CaaCheckFailed, CaaChecked, CertificateIssued, CertificateReserved,
    ChallengeFailed, ChallengeValidated, IssuanceFailed, OrderPlaced, ReservationBurned, Status,
};
use crate::{ChallengeType, SubjectPublicKey, Thumbprint, Timestamp};

/// What can be asked of an order.
#[derive(Clone, Debug)]
pub enum Command {
    /// Places the order.
    Place(OrderPlaced),
    /// The client is ready for a challenge to be validated.
    RespondToChallenge {
        /// Which authorization.
        authorization: AuthorizationIndex,
        /// Which of its challenges.
        challenge: ChallengeType,
        /// The thumbprint of the account's key, for the key authorization.
        thumbprint: Thumbprint,
        /// Now.
        now: Timestamp,
    },
    /// A validator saw the proof.
    RecordValidation(ChallengeValidated),
    /// A validator did not see the proof.
    RecordFailure {
        /// What it saw instead.
        failed: ChallengeFailed,
        /// Whether it is worth looking again, and how often; `None`: the failure is final.
        retries: Option<Retries>,
    },
    /// The holder gives an authorization up.
    DeactivateAuthorization {
        /// Which one.
        authorization: AuthorizationIndex,
        /// Now.
        now: Timestamp,
    },
    /// The client asks for the certificate.
    Finalize {
        /// The key to certify, proven by the CSR's signature.
        public_key: SubjectPublicKey,
        /// The names the CSR asks for, in canonical form.
        names: Vec<String>,
        /// The CSR's common name, one of `names`.
        common_name: Option<String>,
        /// Now.
        now: Timestamp,
    },
    /// The signer wants CAA to be looked at again where it was not since a time.
    RequestCaaCheck {
        /// The earliest time that is recent enough.
        since: Timestamp,
    },
    /// A validator saw that CAA still allows issuance.
    RecordCaa(CaaChecked),
    /// A validator saw that CAA forbids issuance, or could not look.
    RecordCaaFailure(CaaCheckFailed),
    /// The signer claims a serial.
    Reserve {
        /// The claim.
        reserved: CertificateReserved,
        /// The earliest time at which CAA may have been looked at; `None` where CAA is not enforced.
        caa_since: Option<Timestamp>,
    },
    /// The signer gives a claimed serial up.
    Burn(ReservationBurned),
    /// The signer hands the certificate over.
    RecordCertificate(CertificateIssued),
    /// The signer gives up.
    RecordIssuanceFailure(IssuanceFailed),
}

/// How a failed validation is repeated (RFC 8555 §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// After how many failures a failure is final.
    pub max_failures: u16,
    /// How long it takes from the first failure to the second look; each later wait is twice as long.
    pub first_wait: Duration,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such order.
    #[error("the order does not exist")]
    NotFound,
    /// The order was placed before.
    #[error("the order exists already")]
    AlreadyExists,
    /// An order needs identifiers, and an authorization with a challenge for each.
    #[error("the order lacks identifiers or authorizations for them")]
    Incomplete,
    /// There is no such authorization or challenge.
    #[error("the authorization or challenge does not exist")]
    NoSuchChallenge,
    /// The authorization is decided, or its time is over.
    #[error("the authorization is not pending")]
    AuthorizationNotPending,
    /// A validator answered for another identifier than the challenge's.
    #[error("the validation is for another identifier")]
    WrongIdentifier,
    /// The order is not in the status that the command needs.
    #[error("the order is {0:?}")]
    WrongStatus(Status),
    /// The CSR asks for other names than the order.
    #[error("the request names other identifiers than the order")]
    NamesDiffer,
    /// CAA has to be looked at again first.
    #[error("the last look at CAA is too long ago")]
    CaaStale,
    /// Another serial is claimed for the order; the signer goes on with that one.
    #[error("the order has a reservation already")]
    AlreadyReserved,
    /// The serial is not the one claimed for the order.
    #[error("the serial is not reserved for the order")]
    NotReserved,
}
