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
    Api,
    authenticate::{self, Signer},
    pre_authorization::held::Owner,
    problem::Refusal,
    reply::Reply,
    request::Request,
    settings::Profile,
};

/// Revokes a certificate, and blocks its key where the reason is that it was compromised.
pub(crate) async fn revoke_cert(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<Reply, Refusal> {
    let signer = authenticate::by_either(api, profile, request).await?;
    let payload: Revoke = authenticate::payload(signer.jws())?;
    let presented =
        PresentedCertificate::from_base64url(&payload.certificate).map_err(Refusal::Certificate)?;
    let issued = issued(api, &presented).await?;
    let issued_here = issued.filter(|issued| issued.profile.as_ref() == Some(&profile.name));
    // A certificate we did not issue answers like one that is not the signer's.
    let issued = issued_here.ok_or(Refusal::NotRevocable)?;
    let is_own = is_own(&signer, &presented, &issued);
    if !is_own {
        let owner = Owner { profile, account: signer.account().ok_or(Refusal::NotRevocable)? };
        let names = presented.names.as_deref().unwrap_or_default();
        if !authorized::holds_all(api, owner, names, request.now).await? {
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
    // Who proved the names has never shown the key, which may have certificates for others as well.
    let key = presented.public_key.as_ref().filter(|_| is_own).map(PublicKey::hash);
    api.ports.aggregates.revoke(revoked, key, &request.context(actor(&signer))).await?;
    api.kept_ocsp.look_again();
    metrics::counter!(names::CERTIFICATES_REVOKED, "reason" => reason.name()).increment(1);
    Ok(Reply::empty(StatusCode::OK))
}

/// Whether the signer ordered the certificate, or has its key.
fn is_own(signer: &Signer, presented: &PresentedCertificate, issued: &CertificateSigned) -> bool {
    match signer {
        Signer::Account(signed) => issued.account.as_ref() == Some(signed.id()),
        Signer::Key(signed) => presented.public_key.as_ref() == Some(signed.key.public_key()),
    }
}

fn actor(signer: &Signer) -> Actor {
    match signer {
        Signer::Account(signed) => Actor::Account { id: signed.id().clone() },
        Signer::Key(_) => Actor::Certificate,
    }
}

/// The ledger's entry of exactly this certificate; `None` when we did not issue it.
async fn issued(
    api: &Api,
    presented: &PresentedCertificate,
) -> Result<Option<CertificateSigned>, Refusal> {
    let aggregates = &api.ports.aggregates;
    let Some(entry) = aggregates.certificate(&presented.serial).await? else { return Ok(None) };
    let signed = aggregates.signed_certificate(entry.ledger_sequence, &entry.serial).await?;
    Ok(signed.filter(|signed| signed.certificate == base64url::encode(&presented.der)))
}
