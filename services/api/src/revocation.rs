//! revokeCert (RFC 8555 §7.6): by the issuing account, by one that holds authorizations for all of the certificate's names,
//! or by the certificate's own key.

mod authorized;

use acme::{
    PublicKey, base64url,
    revocation::{PresentedCertificate, Revoke},
};
use domain::certificate::{CertRevoked, CertificateSigned};
use eventstore::Actor;
use http::StatusCode;
use runtime::metrics::names;

use crate::{
    authenticate::{self, Signed},
    problem::Refusal,
    reply::Reply,
    request::AcmeRequest,
};

/// Revokes a certificate, and blocks its key where the reason is that it was compromised.
pub(crate) async fn revoke_cert(request: &AcmeRequest<'_>) -> Result<Reply, Refusal> {
    let signed = authenticate::by_either(request).await?;
    let payload: Revoke = authenticate::payload(signed.jws())?;
    let presented = PresentedCertificate::from_base64url(&payload.certificate)
        .map_err(Refusal::MalformedCertificate)?;
    // A certificate that was not issued here is refused like one that whoever asks may not revoke.
    let issued = issued(request, &presented).await?.ok_or(Refusal::NotRevocable)?;
    let is_own = is_own(&signed, &presented, &issued);
    if !is_own {
        let account = signed.account().ok_or(Refusal::NotRevocable)?;
        let names = presented.names.as_deref().unwrap_or_default();
        if !authorized::holds_all(request, account, names).await? {
            return Err(Refusal::NotRevocable);
        }
    }
    let reason = payload.reason().map_err(Refusal::RevocationReason)?;
    let revoked = CertRevoked {
        issuer: issued.issuer,
        serial: issued.serial,
        reason,
        at: request.now,
        not_after: issued.not_after,
    };
    // An account that only proved the names has never shown the key, which may be certified for others as well.
    let key = presented.public_key.as_ref().filter(|_| is_own).map(PublicKey::hash);
    request.api.ports.aggregates.revoke(revoked, key, &request.context(actor(&signed))).await?;
    request.api.kept_ocsp.forget_revoked_to();
    metrics::counter!(names::CERTIFICATES_REVOKED, "reason" => reason.name()).increment(1);
    Ok(Reply::empty(StatusCode::OK))
}

/// Whether the request is signed by the account that ordered the certificate, or by the certificate's key.
fn is_own(signed: &Signed, presented: &PresentedCertificate, issued: &CertificateSigned) -> bool {
    match signed {
        Signed::ByAccount(signed) => issued.account.as_ref() == Some(signed.id()),
        Signed::ByKey(signed) => presented.public_key.as_ref() == Some(signed.key.public_key()),
    }
}

fn actor(signed: &Signed) -> Actor {
    match signed {
        Signed::ByAccount(signed) => Actor::Account { id: signed.id().clone() },
        Signed::ByKey(_) => Actor::Certificate,
    }
}

/// The ledger's entry of exactly this certificate; `None` when it was not issued under this profile.
async fn issued(
    request: &AcmeRequest<'_>,
    presented: &PresentedCertificate,
) -> Result<Option<CertificateSigned>, Refusal> {
    let aggregates = &request.api.ports.aggregates;
    let Some(entry) = aggregates.certificate(&presented.serial).await? else { return Ok(None) };
    let issued = aggregates.signed_certificate(entry.ledger_sequence, &entry.serial).await?;
    Ok(issued.filter(|issued| {
        issued.certificate == base64url::encode(&presented.der)
            && issued.profile.as_ref() == Some(&request.profile.name)
    }))
}
