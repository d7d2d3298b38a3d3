//! An authorization and its challenges as clients see them, in an order or by itself.

use acme::authorization as wire;
use domain::{
    ChallengeType, ProfileName, Timestamp,
    order::{self, AuthorizationIndex, AuthorizationStatus, ChallengeStatus},
    pre_authorization,
};
use http::StatusCode;

use crate::{Api, problem::Refusal, reply::Reply, request, urls::AuthorizationPlace};

/// An authorization, and what is shown beside it.
pub(crate) struct Shown<'a> {
    profile: &'a ProfileName,
    place: AuthorizationPlace,
    authorization: &'a order::Authorization,
    status: AuthorizationStatus,
    expires: Timestamp,
}

impl<'a> Shown<'a> {
    /// An order's own authorization at a place; one that is a pre-authorization has another URL.
    pub(crate) fn in_order(
        order: &'a order::State,
        index: AuthorizationIndex,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let own = order.authorization(index).filter(|it| it.relies_on.is_none());
        let authorization = own.ok_or(Refusal::NotFound)?;
        Ok(Self {
            profile: &order.profile,
            place: AuthorizationPlace::Order(order.id.clone(), index),
            authorization,
            status: order.authorization_status(authorization, now),
            expires: order.expires_at,
        })
    }

    /// A pre-authorization.
    pub(crate) fn by_itself(held: &'a pre_authorization::State, now: Timestamp) -> Self {
        Self {
            profile: &held.profile,
            place: AuthorizationPlace::PreAuthorization(held.id.clone()),
            authorization: &held.authorization,
            status: held.status(now),
            expires: held.expires_at,
        }
    }

    /// The authorization.
    pub(crate) fn reply(&self, api: &Api, status: StatusCode) -> Result<Reply, Refusal> {
        // RFC 8555 §7.1.4: once a challenge has decided, the others are no longer there to be fulfilled.
        let challenges = &self.authorization.challenges;
        let is_decided = challenges.iter().any(has_decided);
        let shown = challenges.iter().filter(|it| !is_decided || has_decided(it));
        let reply = Reply::json(
            status,
            &wire::Authorization {
                identifier: &self.authorization.identifier,
                status: self.status,
                expires: self.expires,
                challenges: shown.map(|it| self.challenge(api, it)).collect(),
                wildcard: self.authorization.wildcard,
            },
        )?;
        Ok(self.with_retry_after(reply, api))
    }

    /// One of its challenges, which is a resource of its own as well.
    pub(crate) fn reply_with_challenge(
        &self,
        api: &Api,
        kind: ChallengeType,
    ) -> Result<Reply, Refusal> {
        let challenge = self.authorization.challenge(kind).ok_or(Refusal::NotFound)?;
        let reply = Reply::json(StatusCode::OK, &self.challenge(api, challenge))?
            .with_link("up", &api.settings.urls.authorization(self.profile, &self.place));
        Ok(self.with_retry_after(reply, api))
    }

    fn challenge<'c>(&self, api: &Api, challenge: &'c order::Challenge) -> wire::Challenge<'c> {
        let (validated, error) = match &challenge.status {
            ChallengeStatus::Pending => (None, None),
            // RFC 8555 §8.2: while retries go on, why the last look failed.
            ChallengeStatus::Processing(attempts) => {
                (None, attempts.failure.as_ref().map(Into::into))
            }
            ChallengeStatus::Valid { at } => (Some(*at), None),
            ChallengeStatus::Invalid { failure, .. } => (None, Some(failure.into())),
        };
        wire::Challenge {
            kind: challenge.kind,
            url: api.settings.urls.challenge(self.profile, &self.place, challenge.kind),
            status: (&challenge.status).into(),
            token: &challenge.token,
            validated,
            error,
        }
    }

    /// Says when to ask again, where a validator has to decide: as of now, because the reply may have been held for long.
    fn with_retry_after(&self, reply: Reply, api: &Api) -> Reply {
        if !self.authorization.is_in_validation() {
            return reply;
        }
        let soon = api.settings.retry_after_seconds(Some(self.profile));
        let wait = self.authorization.retry_wait(request::now());
        reply.with_retry_after(wait.map_or(soon, |wait| soon.max(wait.as_secs() + 1)))
    }
}

fn has_decided(challenge: &order::Challenge) -> bool {
    match challenge.status {
        ChallengeStatus::Valid { .. } | ChallengeStatus::Invalid { .. } => true,
        ChallengeStatus::Pending | ChallengeStatus::Processing(_) => false,
    }
}
