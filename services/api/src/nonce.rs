//! newNonce (RFC 8555 §7.2): the nonce itself is added to every response that may carry one.

use http::{Method, StatusCode};

use crate::{authenticate, problem::Refusal, reply::Reply, request::AcmeRequest};

pub(crate) async fn new_nonce(request: &AcmeRequest<'_>) -> Result<Reply, Refusal> {
    if request.http.method == Method::POST {
        authenticate::post_as_get(request).await?;
    }
    match request.http.method {
        Method::HEAD => Ok(Reply::empty(StatusCode::OK)),
        _ => Ok(Reply::empty(StatusCode::NO_CONTENT)),
    }
}
