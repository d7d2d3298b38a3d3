//! From the outcome of a request to its response, with the headers that every response has.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};

use crate::{
    Api,
    problem::{self, Refusal},
    reply::Reply,
    routes::{Resource, Route},
};

const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

/// Makes the response: with a fresh nonce where one can be used, the way back to the directory, and leave for scripts of
/// any origin to read it (RFC 8555 §6.1, §6.5, §7.1).
pub(crate) async fn respond(
    api: &Api,
    route: &Route,
    method: &Method,
    outcome: Result<Reply, Refusal>,
) -> Response<Bytes> {
    let mut response = with_nonce(api, route, method, outcome).await;
    let headers = response.headers_mut();
    allow_any_origin(headers);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(link) = index_link(api, route) {
        headers.append(header::LINK, link);
    }
    if *method == Method::HEAD {
        strip_body(&mut response);
    }
    response
}

/// Adds a fresh nonce to the answer to every POST that can be a JWS, and to newNonce's.
async fn with_nonce(
    api: &Api,
    route: &Route,
    method: &Method,
    outcome: Result<Reply, Refusal>,
) -> Response<Bytes> {
    let profile = route.profile();
    let retry_after = api.settings.retry_after_seconds(profile);
    let refuse = |refusal: Refusal| problem::reply(&refusal, retry_after).into_response();
    let is_new_nonce = matches!(route, Route::Acme(_, Resource::NewNonce))
        && *method != Method::OPTIONS
        && outcome.is_ok();
    let needs_nonce = is_new_nonce || (*method == Method::POST && route.is_acme());
    let mut response = match outcome {
        Ok(reply) => reply.into_response(),
        Err(refusal) => refuse(refusal),
    };
    if !needs_nonce {
        return response;
    }
    let issued = api.ports.admission.issue(profile.unwrap_or(&api.settings.default_profile)).await;
    if let Some(nonce) = issued.ok().and_then(|nonce| HeaderValue::from_str(&nonce).ok()) {
        response.headers_mut().insert(REPLAY_NONCE, nonce);
    } else if is_new_nonce {
        // Any other reply is worth sending without a nonce.
        return refuse(Refusal::Unavailable("no nonce can be made".into()));
    }
    response
}

/// Names no header that scripts may read, but means all: getssl takes each line with "location" in it for that header.
fn allow_any_origin(headers: &mut HeaderMap) {
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, any);
}

/// The link to the directory, which the directory itself does not have.
fn index_link(api: &Api, route: &Route) -> Option<HeaderValue> {
    if !route.is_acme() || matches!(route, Route::Acme(_, Resource::Directory)) {
        return None;
    }
    let directory = match route.profile() {
        Some(profile) => api.settings.urls.of(profile, "directory"),
        None => api.settings.urls.default_directory(),
    };
    HeaderValue::from_str(&format!("<{directory}>;rel=\"index\"")).ok()
}

/// hyper sends the body of a HEAD response over HTTP/2, which clients take for a protocol error (hyper#2279).
fn strip_body(response: &mut Response<Bytes>) {
    let length = response.body().len();
    if length > 0 {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        *response.body_mut() = Bytes::new();
    }
}
