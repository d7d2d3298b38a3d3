//! An order's cached form.

use domain::{
    AccountId, ChallengeType, Failure, Identifier, IssuerId, OrderId, ProfileName, Serial,
    SubjectPublicKey, Timestamp,
    order::{
        Attempts, Authorization, Challenge, ChallengeStatus, Finalized, Progress, ReliedOn,
        Reservation, State,
    },
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct CachedOrder {
    id: OrderId,
    profile: ProfileName,
    account: AccountId,
    identifiers: Vec<Identifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after: Option<Timestamp>,
    placed_at: Timestamp,
    expires_at: Timestamp,
    authorizations: Vec<CachedAuthorization>,
    progress: CachedProgress,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CachedAuthorization {
    identifier: Identifier,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    wildcard: bool,
    challenges: Vec<CachedChallenge>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relies_on: Option<ReliedOn>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deactivated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caa_checked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    caa_awaited: bool,
}

#[derive(Serialize, Deserialize)]
struct CachedChallenge {
    kind: ChallengeType,
    token: String,
    status: CachedChallengeStatus,
}

#[derive(Serialize, Deserialize)]
enum CachedChallengeStatus {
    Pending,
    Processing(CachedAttempts),
    Valid { at: Timestamp },
    Invalid { at: Timestamp, failure: Failure },
}

#[derive(Serialize, Deserialize)]
struct CachedAttempts {
    round: u16,
    failed: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
enum CachedProgress {
    Open,
    Processing(CachedFinalized),
    Valid { finalized: CachedFinalized, issuer: IssuerId, serial: Serial, ledger_sequence: u64 },
    Invalid { failure: Failure },
}

#[derive(Serialize, Deserialize)]
struct CachedFinalized {
    public_key: SubjectPublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    common_name: Option<String>,
    at: Timestamp,
    reservation: Option<CachedReservation>,
}

#[derive(Serialize, Deserialize)]
struct CachedReservation {
    issuer: IssuerId,
    serial: Serial,
    ledger_sequence: u64,
}

impl From<&State> for CachedOrder {
    fn from(state: &State) -> Self {
        Self {
            id: state.id.clone(),
            profile: state.profile.clone(),
            account: state.account.clone(),
            identifiers: state.identifiers.clone(),
            not_before: state.not_before,
            not_after: state.not_after,
            placed_at: state.placed_at,
            expires_at: state.expires_at,
            authorizations: state.authorizations.iter().map(Into::into).collect(),
            progress: (&state.progress).into(),
        }
    }
}

impl From<CachedOrder> for State {
    fn from(view: CachedOrder) -> Self {
        Self {
            id: view.id,
            profile: view.profile,
            account: view.account,
            identifiers: view.identifiers,
            not_before: view.not_before,
            not_after: view.not_after,
            placed_at: view.placed_at,
            expires_at: view.expires_at,
            authorizations: view.authorizations.into_iter().map(Into::into).collect(),
            progress: view.progress.into(),
        }
    }
}

impl From<&Authorization> for CachedAuthorization {
    fn from(authorization: &Authorization) -> Self {
        Self {
            identifier: authorization.identifier.clone(),
            wildcard: authorization.wildcard,
            challenges: authorization.challenges.iter().map(Into::into).collect(),
            relies_on: authorization.relies_on.clone(),
            deactivated: authorization.deactivated,
            caa_checked_at: authorization.caa_checked_at,
            caa_awaited: authorization.caa_awaited,
        }
    }
}

impl From<CachedAuthorization> for Authorization {
    fn from(view: CachedAuthorization) -> Self {
        Self {
            identifier: view.identifier,
            wildcard: view.wildcard,
            challenges: view.challenges.into_iter().map(Into::into).collect(),
            relies_on: view.relies_on,
            deactivated: view.deactivated,
            caa_checked_at: view.caa_checked_at,
            caa_awaited: view.caa_awaited,
        }
    }
}

impl From<&Challenge> for CachedChallenge {
    fn from(challenge: &Challenge) -> Self {
        let status = match &challenge.status {
            ChallengeStatus::Pending => CachedChallengeStatus::Pending,
            ChallengeStatus::Processing(attempts) => {
                CachedChallengeStatus::Processing(CachedAttempts {
                    round: attempts.round,
                    failed: attempts.failed,
                    failure: attempts.failure.clone(),
                    retry_at: attempts.retry_at,
                })
            }
            ChallengeStatus::Valid { at } => CachedChallengeStatus::Valid { at: *at },
            ChallengeStatus::Invalid { at, failure } => {
                CachedChallengeStatus::Invalid { at: *at, failure: failure.clone() }
            }
        };
        Self { kind: challenge.kind, token: challenge.token.clone(), status }
    }
}

impl From<CachedChallenge> for Challenge {
    fn from(view: CachedChallenge) -> Self {
        let status = match view.status {
            CachedChallengeStatus::Pending => ChallengeStatus::Pending,
            CachedChallengeStatus::Processing(attempts) => ChallengeStatus::Processing(Attempts {
                round: attempts.round,
                failed: attempts.failed,
                failure: attempts.failure,
                retry_at: attempts.retry_at,
            }),
            CachedChallengeStatus::Valid { at } => ChallengeStatus::Valid { at },
            CachedChallengeStatus::Invalid { at, failure } => {
                ChallengeStatus::Invalid { at, failure }
            }
        };
        Self { kind: view.kind, token: view.token, status }
    }
}

impl From<&Progress> for CachedProgress {
    fn from(progress: &Progress) -> Self {
        match progress {
            Progress::Open => Self::Open,
            Progress::Processing(finalized) => Self::Processing(finalized.into()),
            Progress::Valid { finalized, issuer, serial, ledger_sequence } => Self::Valid {
                finalized: finalized.into(),
                issuer: issuer.clone(),
                serial: serial.clone(),
                ledger_sequence: *ledger_sequence,
            },
            Progress::Invalid { failure } => Self::Invalid { failure: failure.clone() },
        }
    }
}

impl From<CachedProgress> for Progress {
    fn from(view: CachedProgress) -> Self {
        match view {
            CachedProgress::Open => Self::Open,
            CachedProgress::Processing(finalized) => Self::Processing(finalized.into()),
            CachedProgress::Valid { finalized, issuer, serial, ledger_sequence } => {
                Self::Valid { finalized: finalized.into(), issuer, serial, ledger_sequence }
            }
            CachedProgress::Invalid { failure } => Self::Invalid { failure },
        }
    }
}

impl From<&Finalized> for CachedFinalized {
    fn from(finalized: &Finalized) -> Self {
        let reservation = finalized.reservation.as_ref().map(|reservation| CachedReservation {
            issuer: reservation.issuer.clone(),
            serial: reservation.serial.clone(),
            ledger_sequence: reservation.ledger_sequence,
        });
        Self {
            public_key: finalized.public_key.clone(),
            common_name: finalized.common_name.clone(),
            at: finalized.at,
            reservation,
        }
    }
}

impl From<CachedFinalized> for Finalized {
    fn from(view: CachedFinalized) -> Self {
        let reservation = view.reservation.map(|reservation| Reservation {
            issuer: reservation.issuer,
            serial: reservation.serial,
            ledger_sequence: reservation.ledger_sequence,
        });
        Self {
            public_key: view.public_key,
            common_name: view.common_name,
            at: view.at,
            reservation,
        }
    }
}
