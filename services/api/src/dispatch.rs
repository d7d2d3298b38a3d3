//! From a route to its handler, past the checks that are the same for all.

use http::{Method, StatusCode, header};

use crate::{
    Api, account, authorization, certificate, challenge, crl, directory, finalize, nonce, ocsp,
    order, pre_authorization,
    problem::Refusal,
    reply::Reply,
    request::Request,
    revocation,
    routes::{Resource, Route},
    settings::Profile,
    urls::AuthorizationPlace,
};

/// Calls the handler of what the route names.
pub(crate) async fn handle(api: &Api, route: &Route, request: &Request) -> Result<Reply, Refusal> {
    if let Route::Absent(_) = route {
        return Err(Refusal::NotFound);
    }
    let methods = route.methods();
    if !methods.contains(&request.method) {
        return Err(Refusal::MethodNotAllowed(methods));
    }
    if request.method == Method::OPTIONS {
        return Ok(preflight(methods));
    }
    match route {
        Route::Absent(_) => Err(Refusal::NotFound),
        Route::Crl(name) => crl::read(api, name).await,
        Route::Ocsp(in_path) => ocsp::respond(api, in_path.as_deref(), request).await,
        Route::Acme(profile, resource) => handle_acme(api, profile, resource, request).await,
    }
}

async fn handle_acme(
    api: &Api,
    profile: &Profile,
    resource: &Resource,
    request: &Request,
) -> Result<Reply, Refusal> {
    if request.method == Method::POST && !request.is_jose() {
        return Err(Refusal::NotJose);
    }
    if request.has_content_coding() {
        return Err(Refusal::ContentCoding);
    }
    match resource {
        Resource::Directory => directory::read(api, profile, request).await,
        Resource::NewNonce => nonce::new_nonce(api, profile, request).await,
        Resource::NewAccount => account::new_account(api, profile, request).await,
        Resource::NewOrder => order::new_order(api, profile, request).await,
        Resource::NewAuthz => pre_authorization::new_authz(api, profile, request).await,
        Resource::RevokeCert => revocation::revoke_cert(api, profile, request).await,
        Resource::KeyChange => account::key_change::key_change(api, profile, request).await,
        Resource::Account(id) => account::account(api, profile, id, request).await,
        Resource::AccountOrders(id) => account::orders::list(api, profile, id, request).await,
        Resource::Order(id) => order::read(api, profile, id, request).await,
        Resource::Finalize(id) => finalize::finalize(api, profile, id, request).await,
        Resource::Authorization(AuthorizationPlace::Order(id, index)) => {
            authorization::authorization(api, profile, (id, *index), request).await
        }
        Resource::Authorization(AuthorizationPlace::PreAuthorization(id)) => {
            pre_authorization::authorization(api, profile, id, request).await
        }
        Resource::Challenge(AuthorizationPlace::Order(id, index), kind) => {
            challenge::challenge(api, profile, (id, *index, *kind), request).await
        }
        Resource::Challenge(AuthorizationPlace::PreAuthorization(id), kind) => {
            pre_authorization::challenge(api, profile, (id, *kind), request).await
        }
        Resource::Certificate(place) => certificate::download(api, profile, place, request).await,
    }
}

/// Says which methods there are (RFC 9110 §9.3.7), also to a browser that asks before a script's request (RFC 8555 §6.1).
fn preflight(methods: &[Method]) -> Reply {
    Reply::empty(StatusCode::NO_CONTENT)
        .with_methods(header::ALLOW, methods)
        .with_methods(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type")
        .with(header::ACCESS_CONTROL_MAX_AGE, "86400")
}
