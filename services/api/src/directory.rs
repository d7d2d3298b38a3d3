//! The directory (RFC 8555 §7.1.1), by GET or POST-as-GET.

use acme::directory::Directory;
use http::{Method, StatusCode, header};

use crate::{authenticate, problem::Refusal, reply::Reply, request::AcmeRequest};

/// How long clients may keep the directory: short enough for a change of the terms to be seen the same day.
const MAX_AGE: &str = "public, max-age=3600";

pub(crate) async fn read(request: &AcmeRequest<'_>) -> Result<Reply, Refusal> {
    if request.http.method == Method::POST {
        authenticate::post_as_get(request).await?;
    }
    let AcmeRequest { api, profile, .. } = request;
    let url = |resource| api.settings.urls.of(&profile.name, resource);
    let directory = Directory {
        new_nonce: url("new-nonce"),
        new_account: url("new-account"),
        new_order: url("new-order"),
        new_authz: profile.pre_authorization_allowed.then(|| url("new-authz")),
        revoke_cert: url("revoke-cert"),
        key_change: url("key-change"),
        meta: profile.meta.clone(),
    };
    Ok(Reply::json(StatusCode::OK, &directory)?.with(header::CACHE_CONTROL, MAX_AGE))
}
