//! From a route to its handler, and the headers that every response has.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::{
    Api, account, authorization, certificate, challenge, crl, directory, finalize, nonce, ocsp,
    order, pre_authorization,
    problem::{self, Refusal},
    reply::Reply,
    request::Request,
    revocation,
    routes::{Resource, Route},
    urls::AuthorizationPlace,
};

const REPLAY_NONCE: header::HeaderName = header::HeaderName::from_static("replay-nonce");

/// Calls the handler of what the route names.
pub(crate) async fn handle(
    api: &Api,
    route: Option<&Route>,
    request: &Request,
) -> Result<Reply, Refusal> {
    let route = match route {
        None | Some(Route::Absent(_)) => return Err(Refusal::NotFound),
        Some(route) => route,
    };
    if !route.methods().contains(&request.method) {
        return Err(Refusal::MethodNotAllowed(route.methods()));
    }
    if request.method == Method::OPTIONS {
        return Ok(preflight(route.methods()));
    }
    let (profile, resource) = match route {
        Route::Crl(name) => return crl::read(api, name).await,
        Route::Ocsp(in_path) => return ocsp::respond(api, in_path.as_deref(), request).await,
        Route::Acme(profile, resource) => (profile, resource),
        Route::Absent(_) => return Err(Refusal::NotFound),
    };
    if request.method == Method::POST && !request.is_jose() {
        return Err(Refusal::NotJose);
    }
    if request.is_coded() {
        return Err(Refusal::Coded);
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
        Resource::Certificate(wanted) => certificate::download(api, profile, wanted, request).await,
    }
}

/// Says which methods there are, to whoever asks and to a browser on behalf of a script (RFC 9110 §9.3.7, RFC 8555 §6.1).
fn preflight(methods: &[Method]) -> Reply {
    Reply::empty(StatusCode::NO_CONTENT)
        .with_methods(header::ALLOW, methods)
        .with_methods(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type")
        .with(header::ACCESS_CONTROL_MAX_AGE, "86400")
}

/// Turns the outcome into a response and adds what every response has: a fresh nonce where one can be used, the way
/// back to the directory, and leave for scripts of any origin to read it (RFC 8555 §6.1, §6.5, §7.1).
pub(crate) async fn finish(
    api: &Api,
    route: Option<&Route>,
    method: &Method,
    result: Result<Reply, Refusal>,
) -> Response<Bytes> {
    let profile = route.and_then(Route::profile);
    let retry_after = api.settings.retry_after_seconds(profile);
    let (reply, refused) = match result {
        Ok(reply) => (reply, false),
        Err(refusal) => (problem::reply(&refusal, retry_after), true),
    };
    let gives_nonces = matches!(route, Some(Route::Acme(_, Resource::NewNonce))) && !refused;
    let mut response = reply.into_response();
    let is_acme = !matches!(route, Some(Route::Crl(_) | Route::Ocsp(..)));
    if (*method == Method::POST && is_acme) || (gives_nonces && *method != Method::OPTIONS) {
        let of = profile.unwrap_or(&api.settings.default_profile);
        match api.ports.admission.issue(of).await.map(|nonce| HeaderValue::from_str(&nonce)) {
            Ok(Ok(nonce)) => {
                response.headers_mut().insert(REPLAY_NONCE, nonce);
            }
            // newNonce without a nonce is no answer; any other reply is worth more than none.
            Ok(Err(_)) | Err(_) if gives_nonces => {
                let unavailable = Refusal::Unavailable("no nonce can be made".into());
                response = problem::reply(&unavailable, retry_after).into_response();
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Link, Replay-Nonce, Location, Retry-After"),
    );
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if is_acme && !matches!(route, Some(Route::Acme(_, Resource::Directory))) {
        let directory = match profile {
            Some(profile) => api.settings.urls.of(profile, "directory"),
            None => api.settings.urls.default_directory(),
        };
        if let Ok(link) = HeaderValue::from_str(&format!("<{directory}>;rel=\"index\"")) {
            headers.append(header::LINK, link);
        }
    }
    if *method == Method::HEAD {
        strip_body(&mut response);
    }
    response
}

/// hyper sends the body of a HEAD response over HTTP/2, which clients take for a protocol error (hyper#2279).
fn strip_body(response: &mut Response<Bytes>) {
    let length = response.body().len();
    if length > 0 {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        *response.body_mut() = Bytes::new();
    }
}
