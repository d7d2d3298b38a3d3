//! What an account holds: finding its pre-authorizations, and whether orders can still rely on them.

use domain::{
    AccountId, Identifier, PreAuthorizationId,
    order::{
        AuthorizationIndex, AuthorizationPlaced, AuthorizationStatus, Command, Order, Progress,
        Rejection,
    },
    pre_authorization::{List, Listing, ListingState, Overtaken, PreAuthorization},
};
use eventstore::{Actor, Context, ExecuteError, Loaded, Subject, execute, load};
use futures::future::try_join_all;
use ring::digest::{Context as Hash, SHA256};

use crate::{
    Api,
    authenticate::{OrderView, PreAuthorizationView},
    problem::Refusal,
    request::AcmeRequest,
};

/// The list of an account's newest pre-authorizations for an identifier, as it was read.
pub(super) struct LoadedListing {
    subject: Subject,
    loaded: Loaded<ListingState>,
}

/// The authorization of an order by a valid pre-authorization, if the account has one for the identifier. Nothing is looked
/// up where the profile has none, nor for wildcards, which no pre-authorization proves.
pub(crate) async fn proof(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    identifier: &Identifier,
) -> Result<Option<AuthorizationPlaced>, Refusal> {
    if !request.profile.pre_authorization_allowed || identifier.is_wildcard() {
        return Ok(None);
    }
    let offered = request.profile.challenges(identifier);
    let listing = load_listing(request.api, account, identifier).await?;
    for held in load_all(request, account, &listing).await? {
        let proof = held.state.as_proof(request.now);
        // A way of proving that the profile no longer offers is no longer good enough.
        let proof = proof.filter(|it| it.challenges.iter().all(|it| offered.contains(&it.kind)));
        if let Some(proof) = proof {
            return Ok(Some(AuthorizationPlaced { identifier: identifier.clone(), ..proof }));
        }
    }
    Ok(None)
}

/// What an account's newest pre-authorization for an identifier is.
pub(super) struct Newest {
    /// Where it is listed.
    pub(super) listing: LoadedListing,
    /// The newest, if it still waits for its proof.
    pub(super) pending: Option<PreAuthorizationView>,
}

/// The newest pre-authorization for the identifier.
pub(super) async fn newest(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    identifier: &Identifier,
) -> Result<Newest, Refusal> {
    let listing = load_listing(request.api, account, identifier).await?;
    let newest = load_all(request, account, &listing).await?.into_iter().next();
    let pending = newest.filter(|it| it.state.status(request.now) == AuthorizationStatus::Pending);
    Ok(Newest { listing, pending })
}

async fn load_listing(
    api: &Api,
    account: &AccountId,
    identifier: &Identifier,
) -> Result<LoadedListing, Refusal> {
    let subject = listing_subject(account, identifier);
    let store = api.ports.aggregates.store.as_ref();
    let loaded = load::<Listing>(store, &subject, Loaded::default()).await?;
    Ok(LoadedListing { subject, loaded })
}

/// The listed pre-authorizations, the newest first.
async fn load_all(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    listing: &LoadedListing,
) -> Result<Vec<PreAuthorizationView>, Refusal> {
    let ids = listing.loaded.state.iter().flat_map(|listing| &listing.ids);
    let loads = ids.map(|id| request.api.ports.aggregates.load::<PreAuthorization>(id));
    let found = try_join_all(loads).await?.into_iter().flatten();
    let is_owned = |it: &PreAuthorizationView| {
        it.state.account == *account && it.state.profile == request.profile.name
    };
    Ok(found.filter(is_owned).collect())
}

/// Lists a new pre-authorization after what was the newest, so that orders find it.
pub(super) async fn list(
    api: &Api,
    LoadedListing { subject, loaded }: LoadedListing,
    id: PreAuthorizationId,
    context: &Context,
) -> Result<(), ExecuteError<Overtaken>> {
    let after = loaded.state.as_ref().and_then(ListingState::newest).cloned();
    let store = api.ports.aggregates.store.as_ref();
    execute::<Listing>(store, &subject, loaded, &List { id, after }, context).await.map(drop)
}

/// Deactivates those authorizations of an order that is not finalized whose pre-authorizations were given up since it was
/// placed. Expired ones need no such step, because the order ends no later than they do.
pub(crate) async fn deactivate_given_up(
    request: &AcmeRequest<'_>,
    mut order: OrderView,
) -> Result<OrderView, Refusal> {
    if !matches!(order.state.progress, Progress::Open) {
        return Ok(order);
    }
    for authorization in given_up(request, &order).await? {
        let id = order.state.id.clone();
        let command = Command::DeactivateAuthorization { authorization, now: request.now };
        let context = request.context(Actor::Account { id: order.state.account.clone() });
        let aggregates = &request.api.ports.aggregates;
        let known = Some(order.clone());
        order = match aggregates.execute::<Order>(&id, known, &command, &context).await {
            // It was finalized meanwhile. The signer looks at the pre-authorizations again, so nobody is refused here.
            Err(ExecuteError::Rejected(Rejection::WrongStatus(_))) => {
                return Ok(aggregates.load::<Order>(&id).await?.unwrap_or(order));
            }
            deactivated => deactivated?,
        };
    }
    Ok(order)
}

/// The authorizations of an order whose pre-authorizations were given up. Asked in the log: a view may be behind.
async fn given_up(
    request: &AcmeRequest<'_>,
    order: &OrderView,
) -> Result<Vec<AuthorizationIndex>, Refusal> {
    let loads = order.state.relied_on().map(async |(index, relied_on)| {
        let held = request.api.ports.aggregates.fold::<PreAuthorization>(&relied_on.id).await?;
        let status = held.map(|held| held.state.status(request.now));
        Ok::<_, Refusal>(match status {
            None | Some(AuthorizationStatus::Deactivated) => Some(index),
            Some(
                AuthorizationStatus::Pending
                | AuthorizationStatus::Valid
                | AuthorizationStatus::Invalid
                | AuthorizationStatus::Expired,
            ) => None,
        })
    });
    Ok(try_join_all(loads).await?.into_iter().flatten().collect())
}

/// Where an account's pre-authorizations for an identifier are listed, however it is spelled.
fn listing_subject(account: &AccountId, identifier: &Identifier) -> Subject {
    let mut hash = Hash::new(&SHA256);
    hash.update(account.as_str().as_bytes());
    // No account id has one.
    hash.update(&[0]);
    hash.update(identifier.canonical().as_bytes());
    let mut octets = [0; 32];
    octets.copy_from_slice(hash.finish().as_ref());
    Subject::pre_authorization_listing(&octets)
}
