//! Pre-authorizations: newAuthz, and reading, proving and giving them up (RFC 8555 §7.4.1, §7.5).

pub(crate) mod held;
pub(crate) mod rate;

use std::slice;

use acme::authorization::{AuthorizationUpdate, ChallengeResponse, NewAuthorization};
use domain::{
    AccountId, ChallengeType, Identifier, PreAuthorizationId,
    pre_authorization::{Command, Overtaken, PreAuthorization, PreAuthorizationPlaced},
};
use eventstore::{Actor, ExecuteError, Subject};
use http::StatusCode;

use crate::{
    authenticate::{self, ByAccount, PreAuthorizationView},
    authorization::{Shown, expect_deactivation},
    hold,
    identifiers::check_identifiers,
    order,
    problem::Refusal,
    random,
    reply::Reply,
    request::{self, AcmeRequest},
    terms,
    urls::AuthorizationPlace,
};

/// How often it is looked whether an identifier waits for its proof, while others ask for it, too.
const ATTEMPTS: usize = 3;

/// Makes a pre-authorization, or finds the one for the identifier that still waits for its proof: a client that lost the
/// answer asks again.
pub(crate) async fn new_authz(request: &AcmeRequest<'_>) -> Result<Reply, Refusal> {
    let signed = terms::by_agreed_account(request).await?;
    let new: NewAuthorization = authenticate::payload(&signed.jws)?;
    let requested = slice::from_ref(&new.identifier);
    let identifiers = check_identifiers(request.profile, &signed.account.state, requested);
    let identifiers = identifiers.map_err(|refusal| match refusal {
        Refusal::Identifiers(refused) => Refusal::PreAuthorization(refused),
        refusal => refusal,
    })?;
    let identifier = identifiers.first().ok_or(Refusal::Payload("there is no identifier"))?;
    if identifier.is_wildcard() {
        return Err(Refusal::WildcardPreAuthorization);
    }
    let held = find_or_place(request, signed.id(), identifier).await?;
    let place = AuthorizationPlace::PreAuthorization(held.state.id.clone());
    let location = request.api.settings.urls.authorization(&request.profile.name, &place);
    let shown = Shown::by_itself(&held.state, request.now);
    Ok(shown.reply(request.api, StatusCode::CREATED)?.with_location(location))
}

/// Of several requests at once, one lists the pre-authorization that it made. The others answer with that one, and what they
/// made themselves is never used.
async fn find_or_place(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    identifier: &Identifier,
) -> Result<PreAuthorizationView, Refusal> {
    let context = request.context(Actor::Account { id: account.clone() });
    let mut made = None;
    for _ in 0..ATTEMPTS {
        let newest = held::newest(request, account, identifier).await?;
        if let Some(pending) = newest.pending {
            return Ok(pending);
        }
        let held = match made {
            Some(made) => made,
            None => place(request, account, identifier).await?,
        };
        // Listed only once it is made: orders would look in vain for one that is listed and does not exist.
        match held::list(request.api, newest.listing, held.state.id.clone(), &context).await {
            Err(ExecuteError::Rejected(Overtaken)) => made = Some(held),
            listed => {
                listed?;
                return Ok(held);
            }
        }
    }
    Err(Overtaken.into())
}

async fn place(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    identifier: &Identifier,
) -> Result<PreAuthorizationView, Refusal> {
    let AcmeRequest { api, profile, .. } = request;
    api.pre_authorization_rate.count(profile, account, request.now)?;
    let id = random::pre_authorization_id()?;
    let command = Command::Place(PreAuthorizationPlaced {
        id: id.clone(),
        profile: profile.name.clone(),
        account: account.clone(),
        identifier: identifier.clone(),
        challenges: order::challenges(profile, identifier)?,
        at: request.now,
        expires_at: request.now.plus(profile.pre_authorization_validity),
    });
    let aggregates = &api.ports.aggregates;
    let context = request.context(Actor::Account { id: account.clone() });
    Ok(aggregates.execute::<PreAuthorization>(&id, None, &command, &context).await?)
}

/// Reads a pre-authorization, or gives it up; while a challenge is being validated, the reply waits for the outcome.
pub(crate) async fn authorization(
    request: &AcmeRequest<'_>,
    id: &PreAuthorizationId,
) -> Result<Reply, Refusal> {
    let place = request.take_place(Subject::pre_authorization(id));
    let (signed, held) = owned(request, id).await?;
    let held = if signed.jws.is_post_as_get() {
        hold::hold::<PreAuthorization>(place, request.api, held, is_validation_due).await?
    } else {
        let update: AuthorizationUpdate = authenticate::payload(&signed.jws)?;
        expect_deactivation(&update)?;
        command(request, held, &Command::Deactivate { now: request.now }).await?
    };
    Shown::by_itself(&held.state, request.now).reply(request.api, StatusCode::OK)
}

/// Reads a challenge, or takes the response to it and waits for its validation.
pub(crate) async fn challenge(
    request: &AcmeRequest<'_>,
    id: &PreAuthorizationId,
    kind: ChallengeType,
) -> Result<Reply, Refusal> {
    let place = request.take_place(Subject::pre_authorization(id));
    let (signed, mut held) = owned(request, id).await?;
    if !signed.jws.is_post_as_get() {
        let _: ChallengeResponse = authenticate::payload(&signed.jws)?;
        let thumbprint = signed.key.thumbprint().clone();
        let respond = Command::RespondToChallenge { challenge: kind, thumbprint, now: request.now };
        held = command(request, held, &respond).await?;
    }
    let held = hold::hold::<PreAuthorization>(place, request.api, held, is_validation_due).await?;
    Shown::by_itself(&held.state, request.now).reply_with_challenge(request.api, kind)
}

/// Takes a request signed by the account that asked for a pre-authorization, and the pre-authorization. Someone else's is
/// refused like one that does not exist.
async fn owned(
    request: &AcmeRequest<'_>,
    id: &PreAuthorizationId,
) -> Result<(ByAccount, PreAuthorizationView), Refusal> {
    let signed = authenticate::by_account(request).await?;
    let held = request.api.ports.aggregates.load::<PreAuthorization>(id).await?;
    let own = held
        .filter(|it| it.state.account == *signed.id() && it.state.profile == request.profile.name)
        .ok_or(Refusal::NotFound)?;
    Ok((signed, own))
}

async fn command(
    request: &AcmeRequest<'_>,
    held: PreAuthorizationView,
    command: &Command,
) -> Result<PreAuthorizationView, Refusal> {
    let id = held.state.id.clone();
    let context = request.context(Actor::Account { id: held.state.account.clone() });
    let aggregates = &request.api.ports.aggregates;
    Ok(aggregates.execute::<PreAuthorization>(&id, Some(held), command, &context).await?)
}

fn is_validation_due(held: &PreAuthorizationView) -> bool {
    held.state.authorization.is_validation_due(request::now())
}
