//! CRLs as the signer published them (RFC 5280 §5), over the same listener.

use domain::CrlName;
use http::{StatusCode, header};

use crate::{Api, problem::Refusal, reply::Reply};

/// Short, so that a revocation is seen soon; the CRL itself says how long it is valid.
const MAX_AGE: &str = "public, max-age=300";

pub(crate) async fn read(api: &Api, name: &CrlName) -> Result<Reply, Refusal> {
    let crl = api.ports.aggregates.views.crl(name).await?.ok_or(Refusal::NotFound)?;
    Ok(Reply::body(StatusCode::OK, "application/pkix-crl", crl.der.clone())
        .with(header::CACHE_CONTROL, MAX_AGE))
}
