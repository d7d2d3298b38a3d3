//! From a route to its handler, past the checks that are the same for all.

use http::{Method, StatusCode, header};

use crate::{
    Api, account, authorization, certificate, challenge, crl, directory, finalize, nonce, ocsp,
    order, pre_authorization,
    problem::Refusal,
    reply::Reply,
    request::{self, AcmeRequest, Request},
    revocation,
    routes::{Resource, Route},
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
        Route::Acme(profile, resource) => {
            let request = AcmeRequest { api, profile, http: request, now: request::now() };
            handle_acme(&request, resource).await
        }
    }
}

async fn handle_acme(request: &AcmeRequest<'_>, resource: &Resource) -> Result<Reply, Refusal> {
    if request.http.method == Method::POST && !request.http.is_jose() {
        return Err(Refusal::NotJose);
    }
    if request.http.has_content_coding() {
        return Err(Refusal::ContentCoding);
    }
    match resource {
        Resource::Directory => directory::read(request).await,
        Resource::NewNonce => nonce::new_nonce(request).await,
        Resource::NewAccount => account::new_account(request).await,
        Resource::NewOrder => order::new_order(request).await,
        Resource::NewAuthz => pre_authorization::new_authz(request).await,
        Resource::RevokeCert => revocation::revoke_cert(request).await,
        Resource::KeyChange => account::key_change::key_change(request).await,
        Resource::Account(id) => account::account(request, id).await,
        Resource::AccountOrders(id) => account::orders::list(request, id).await,
        Resource::Order(id) => order::read(request, id).await,
        Resource::Finalize(id) => finalize::finalize(request, id).await,
        Resource::Authorization(AuthorizationPlace::Order(id, index)) => {
            authorization::authorization(request, id, *index).await
        }
        Resource::Authorization(AuthorizationPlace::PreAuthorization(id)) => {
            pre_authorization::authorization(request, id).await
        }
        Resource::Challenge(AuthorizationPlace::Order(id, index), kind) => {
            challenge::challenge(request, id, *index, *kind).await
        }
        Resource::Challenge(AuthorizationPlace::PreAuthorization(id), kind) => {
            pre_authorization::challenge(request, id, *kind).await
        }
        Resource::Certificate(place) => certificate::download(request, place).await,
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
