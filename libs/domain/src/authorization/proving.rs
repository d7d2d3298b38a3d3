//! Proving control: what a response, a proof and a failure do to an authorization, of an order or by itself.

use super::{
    Attempts, Authorization, AuthorizationIndex, AuthorizationStatus, Challenge, ChallengeStatus,
};
use crate::{
    AccountId, ChallengeType, Identifier, ProfileName, Thumbprint, Timestamp,
    order::{
        AuthorizationPlaced, ChallengeAttemptFailed, ChallengeFailed, ChallengePlaced,
        ChallengeReady, ChallengeValidated, Retries,
    },
};

/// An authorization that commands are decided on, and what is known of its order or pre-authorization.
pub(crate) struct Proving<'a> {
    /// Its place in the order.
    pub(crate) index: AuthorizationIndex,
    /// The authorization.
    pub(crate) authorization: &'a Authorization,
    /// Whose it is.
    pub(crate) account: &'a AccountId,
    /// Whose rules it follows.
    pub(crate) profile: &'a ProfileName,
    /// When it ends.
    pub(crate) expires_at: Timestamp,
}

/// What becomes of a failure.
pub(crate) enum Failed {
    /// A validator looks again.
    ForNow(ChallengeAttemptFailed),
    /// It is final.
    ForEver(ChallengeFailed),
}

/// Why an authorization stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// It has no such challenge.
    #[error("the challenge does not exist")]
    NoSuchChallenge,
    /// It is decided, or its time is over.
    #[error("the authorization is not pending")]
    NotPending,
    /// A validator answered for another identifier than the challenge's.
    #[error("the validation is for another identifier")]
    WrongIdentifier,
}

impl Proving<'_> {
    /// What a validator is asked for when the client responds; nothing when one was asked before.
    pub(crate) fn respond(
        &self,
        kind: ChallengeType,
        thumbprint: &Thumbprint,
        now: Timestamp,
    ) -> Result<Option<ChallengeReady>, Rejection> {
        let challenge = self.challenge(kind)?;
        let round = match &challenge.status {
            ChallengeStatus::Pending => 1,
            // Asking again while a retry waits has it done at once (RFC 8555 §8.2). Each look counts, whoever asked for
            // it, so the client cannot have more of them than there would be anyway.
            ChallengeStatus::Processing(attempts) if attempts.wait(now).is_some() => {
                attempts.round.saturating_add(1)
            }
            ChallengeStatus::Processing(_)
            | ChallengeStatus::Valid { .. }
            | ChallengeStatus::Invalid { .. } => return Ok(None),
        };
        if self.authorization.status(self.expires_at, now) != AuthorizationStatus::Pending {
            return Err(Rejection::NotPending);
        }
        Ok(Some(ChallengeReady {
            authorization: self.index,
            challenge: kind,
            identifier: self.authorization.identifier.clone(),
            wildcard: self.authorization.wildcard,
            round,
            token: challenge.token.clone(),
            key_authorization: format!("{}.{}", challenge.token, thumbprint.as_str()),
            account: self.account.clone(),
            profile: self.profile.clone(),
        }))
    }

    /// What to record of a proof; nothing when the authorization is decided.
    pub(crate) fn take_proof(
        &self,
        validated: &ChallengeValidated,
    ) -> Result<Option<ChallengeValidated>, Rejection> {
        let unanswered = self.unanswered(validated.challenge, &validated.identifier)?;
        Ok(unanswered.map(|_| validated.clone()))
    }

    /// What to record of a failure; nothing when the authorization is decided. The failure is final where the retries are used
    /// up, or the authorization ends before the next one.
    pub(crate) fn fail(
        &self,
        failed: &ChallengeFailed,
        retries: Option<Retries>,
    ) -> Result<Option<Failed>, Rejection> {
        let Some(attempts) = self.unanswered(failed.challenge, &failed.identifier)? else {
            return Ok(None);
        };
        let retry_at = retries
            .filter(|retries| attempts.failed.saturating_add(1) < retries.max_failures)
            .map(|retries| {
                failed.at.plus(retries.first_wait.saturating_mul(1 << attempts.failed.min(16)))
            })
            .filter(|retry_at| *retry_at < self.expires_at);
        Ok(Some(match retry_at {
            None => Failed::ForEver(failed.clone()),
            Some(retry_at) => Failed::ForNow(ChallengeAttemptFailed {
                authorization: failed.authorization,
                challenge: failed.challenge,
                identifier: failed.identifier.clone(),
                at: failed.at,
                retry_at,
                failure: failed.failure.clone(),
                evidence: failed.evidence.clone(),
            }),
        }))
    }

    /// The looks taken so far; `None` when the authorization is decided, so that an answer that comes again, after a redelivery,
    /// changes nothing.
    fn unanswered(
        &self,
        kind: ChallengeType,
        identifier: &Identifier,
    ) -> Result<Option<&Attempts>, Rejection> {
        let challenge = self.challenge(kind)?;
        if self.authorization.identifier != *identifier {
            return Err(Rejection::WrongIdentifier);
        }
        match &challenge.status {
            ChallengeStatus::Pending => Err(Rejection::NotPending),
            ChallengeStatus::Processing(attempts) => {
                Ok(Some(attempts).filter(|_| self.authorization.is_undecided()))
            }
            ChallengeStatus::Valid { .. } | ChallengeStatus::Invalid { .. } => Ok(None),
        }
    }

    fn challenge(&self, kind: ChallengeType) -> Result<&Challenge, Rejection> {
        self.authorization.challenge(kind).ok_or(Rejection::NoSuchChallenge)
    }
}

impl Authorization {
    /// A new one; proven already where an order relies on a pre-authorization.
    pub(crate) fn placed(placed: &AuthorizationPlaced) -> Self {
        let relies_on = placed.relies_on.clone();
        let status = match &relies_on {
            Some(relied_on) => ChallengeStatus::Valid { at: relied_on.validated_at },
            None => ChallengeStatus::Pending,
        };
        let challenge = |ChallengePlaced { kind, token }: &ChallengePlaced| Challenge {
            kind: *kind,
            token: token.clone(),
            status: status.clone(),
        };
        Self {
            identifier: placed.identifier.clone(),
            wildcard: placed.wildcard,
            deactivated: false,
            caa_checked_at: relies_on.as_ref().and_then(|relied_on| relied_on.caa_checked_at),
            caa_awaited: false,
            challenges: placed.challenges.iter().map(challenge).collect(),
            relies_on,
        }
    }

    /// The client asks, perhaps again: what failed before stays on record.
    pub(crate) fn make_ready(&mut self, ready: &ChallengeReady) {
        self.change(ready.challenge, |status| {
            let before = match status {
                ChallengeStatus::Processing(attempts) => std::mem::take(attempts),
                ChallengeStatus::Pending
                | ChallengeStatus::Valid { .. }
                | ChallengeStatus::Invalid { .. } => Attempts::default(),
            };
            let attempts = Attempts { round: ready.round, retry_at: None, ..before };
            *status = ChallengeStatus::Processing(attempts);
        });
    }

    pub(crate) fn take_proof(&mut self, validated: &ChallengeValidated) {
        self.change(validated.challenge, |status| {
            *status = ChallengeStatus::Valid { at: validated.at };
        });
        if validated.evidence.caa.is_some() {
            self.caa_checked_at = Some(validated.at);
        }
    }

    pub(crate) fn count_failure(&mut self, failed: &ChallengeAttemptFailed) {
        self.change(failed.challenge, |status| {
            if let ChallengeStatus::Processing(attempts) = status {
                attempts.failed = attempts.failed.saturating_add(1);
                attempts.failure = Some(failed.failure.clone());
                attempts.retry_at = Some(failed.retry_at);
            }
        });
    }

    pub(crate) fn fail(&mut self, failed: &ChallengeFailed) {
        self.change(failed.challenge, |status| {
            *status = ChallengeStatus::Invalid { at: failed.at, failure: failed.failure.clone() };
        });
    }

    fn change(&mut self, kind: ChallengeType, change: impl FnOnce(&mut ChallengeStatus)) {
        let challenge = self.challenges.iter_mut().find(|challenge| challenge.kind == kind);
        if let Some(challenge) = challenge {
            change(&mut challenge.status);
        }
    }
}
