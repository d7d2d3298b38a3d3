//! Downloading a certificate with its chain (RFC 8555 §7.4.2): one read of the ledger.

mod format;

use acme::{base64url, issuer_url};
use http::{StatusCode, header};

use crate::{
    authenticate, problem::Refusal, reply::Reply, request::AcmeRequest, urls::CertificatePlace,
};
use format::Format;

/// Sends the certificate in the form that the client accepts, with links to its other chains. Where it is sent without a chain,
/// a link leads to its issuer, if the certificate says where that is.
pub(crate) async fn download(
    request: &AcmeRequest<'_>,
    place: &CertificatePlace,
) -> Result<Reply, Refusal> {
    let signed = authenticate::post_as_get(request).await?;
    let AcmeRequest { api, profile, .. } = request;
    let CertificatePlace { ledger_sequence, serial, chain: wanted } = place;
    let found = api.ports.aggregates.signed_certificate(*ledger_sequence, serial).await?;
    let certificate = found.ok_or(Refusal::NotFound)?;
    let owned = certificate.account.as_ref() == Some(signed.id())
        && certificate.profile.as_ref() == Some(&profile.name);
    if !owned {
        return Err(Refusal::NotFound);
    }
    let chains: Vec<&Vec<String>> =
        std::iter::once(&certificate.chain).chain(&certificate.alternates).collect();
    let chain = chains.get(*wanted).ok_or(Refusal::NotFound)?;
    let certificates = std::iter::once(&certificate.certificate)
        .chain(chain.iter())
        .map(|der| base64url::decode(der))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Refusal::Internal(error.into()))?;
    let accept = request.http.headers.get_all(header::ACCEPT).iter();
    let format = Format::accepted(accept.filter_map(|line| line.to_str().ok()));
    let reply = Reply::body(StatusCode::OK, format.media_type(), format.write(&certificates));
    let issuer = certificates.first().filter(|_| format.is_alone()).and_then(|der| issuer_url(der));
    let reply = match issuer {
        Some(url) => reply.with_link("up", &url),
        None => reply,
    };
    let others = (0..chains.len()).filter(|chain| chain != wanted);
    Ok(others.fold(reply, |reply, chain| {
        let other = CertificatePlace { chain, ..place.clone() };
        reply.with_link("alternate", &api.settings.urls.certificate(&profile.name, &other))
    }))
}
