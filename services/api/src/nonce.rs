//! newNonce (RFC 8555 §7.2): the nonce itself is added to every response that may carry one.

use http::{Method, StatusCode};

use crate::{
    Api, authenticate, problem::Refusal, reply::Reply, request::Request, settings::Profile,
};

pub(crate) async fn new_nonce(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<Reply, Refusal> {
    if request.method == Method::POST {
        authenticate::post_as_get(api, profile, request).await?;
    }
    match request.method {
        Method::HEAD => Ok(Reply::empty(StatusCode::OK)),
        _ => Ok(Reply::empty(StatusCode::NO_CONTENT)),
    }
}
