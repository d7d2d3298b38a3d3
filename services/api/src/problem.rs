//! Why a request is refused, and the problem document that says so. Problem documents are made here and nowhere else.

mod account;
mod authorization;
mod identifiers;
mod order;
mod stores;

use std::time::Duration;

use acme::{
    BadPublicKey, ErrorType, Problem,
    account::BadContact,
    csr::BadCsr,
    jws::{JwsErrorReason, MalformedPayload},
    key_change::MalformedKeyChange,
    revocation::{BadRevocationReason, MalformedCertificate},
};
use domain::{certificate::AlreadyRevoked, order::Status};
use http::{Method, StatusCode, header};
use runtime::metrics::names;
use tracing::{debug, error, warn};

pub(crate) use self::identifiers::{RefusedIdentifier, some_of};
use crate::reply::Reply;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("nothing is there")]
    NotFound,
    #[error("the method is not allowed")]
    MethodNotAllowed(&'static [Method]),
    #[error("the content type is not application/jose+json")]
    NotJose,
    #[error("the body has a content coding")]
    ContentCoding,
    #[error("the body is too large")]
    BodyTooLarge,
    #[error("the body ended early")]
    BodyInterrupted,
    #[error("the request took too long to arrive")]
    TooSlow,
    #[error("the JWS is refused")]
    Jws(#[source] JwsErrorReason),
    #[error("the nonce is not good")]
    BadNonce,
    #[error("the signed URL is not the requested one")]
    WrongUrl(
        /// What the URLs of this server begin with.
        String,
    ),
    #[error("the signature is wrong")]
    BadSignature,
    #[error("the algorithm does not belong to the key")]
    WrongAlgorithm,
    #[error("the key is not accepted")]
    BadPublicKey(#[source] BadPublicKey),
    #[error("the resource wants the other of kid and jwk")]
    WrongKeyReference(&'static str),
    #[error("the account does not exist")]
    AccountDoesNotExist,
    #[error("the account is not one of this profile")]
    AccountElsewhere,
    #[error("the account is deactivated")]
    AccountDeactivated,
    #[error("the inner JWS is refused")]
    InnerJws(#[source] JwsErrorReason),
    #[error("the change of keys is malformed")]
    MalformedKeyChange(#[source] MalformedKeyChange),
    #[error("the change of keys does not fit the request")]
    KeyChangeMismatch(&'static str),
    #[error("the key belongs to an account")]
    KeyInUse(String),
    #[error("the key was replaced")]
    FormerKey,
    #[error("the account's key was changed too often")]
    TooManyKeys,
    #[error("the account in the URL is not the one that signed")]
    OtherAccount,
    #[error("the payload cannot be read")]
    MalformedPayload(#[source] MalformedPayload),
    #[error("the payload is not what the resource takes")]
    Payload(&'static str),
    #[error("the terms of service are not agreed to")]
    TermsNotAgreed(Option<String>),
    #[error("the terms of service have changed")]
    TermsChanged {
        /// Their URL.
        terms: String,
        /// Where a person learns how to agree.
        instance: String,
    },
    #[error("an external account is required")]
    ExternalAccountRequired,
    #[error("the external account binding cannot be read")]
    Binding(#[source] JwsErrorReason),
    #[error("the external account binding does not fit the request")]
    BindingMismatch(&'static str),
    #[error("the external account binding is not accepted")]
    BindingRefused(#[source] Source),
    #[error("a contact is refused")]
    Contact(#[source] BadContact),
    #[error("identifiers are refused")]
    Identifiers(Vec<RefusedIdentifier>),
    #[error("the validity asked for is refused")]
    Validity(String),
    #[error("the identifier is not authorized")]
    PreAuthorization(Vec<RefusedIdentifier>),
    #[error("wildcards are not authorized before an order")]
    WildcardPreAuthorization,
    #[error("the account made too many pre-authorizations")]
    PreAuthorizationRate {
        /// How long until it may make another.
        wait: Duration,
    },
    #[error("the order is not ready")]
    OrderNotReady(Status),
    #[error("the authorization is not pending")]
    AuthorizationNotPending,
    #[error("the authorization cannot be given up")]
    AuthorizationInUse,
    #[error("the CSR is refused")]
    Csr(#[source] BadCsr),
    #[error("the CSR has other names than the order")]
    CsrNames(String),
    #[error("the CSR has an account's key")]
    AccountKeyInCsr,
    #[error("the key of the CSR is not certified")]
    CertificateKey(#[source] BadPublicKey),
    #[error("the certificate is malformed")]
    MalformedCertificate(#[source] MalformedCertificate),
    #[error("the certificate is not one that this account or key may revoke")]
    NotRevocable,
    #[error("the certificate is revoked already")]
    AlreadyRevoked,
    #[error("the revocation reason is refused")]
    RevocationReason(#[source] BadRevocationReason),
    #[error("something needed is out of reach")]
    Unavailable(#[source] Source),
    #[error("the server failed")]
    Internal(#[source] Source),
}

/// Answers a refused request. What only the operator should know is logged, not sent.
pub(crate) fn reply(refusal: &Refusal, retry_after: u64) -> Reply {
    let problem = problem(refusal);
    log(refusal, &problem);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let reply = Reply::body(status, "application/problem+json", body);
    match refusal {
        Refusal::MethodNotAllowed(methods) => reply.with_methods(header::ALLOW, methods),
        // RFC 9110 §12.5.3
        Refusal::ContentCoding => reply.with(header::ACCEPT_ENCODING, "identity"),
        Refusal::KeyInUse(account) => reply.with_location(account.clone()),
        Refusal::TermsChanged { terms: url, .. } | Refusal::TermsNotAgreed(Some(url)) => {
            reply.with_link("terms-of-service", url)
        }
        Refusal::PreAuthorizationRate { wait } => reply.with_retry_after(wait.as_secs().max(1)),
        _ if status == StatusCode::SERVICE_UNAVAILABLE => reply.with_retry_after(retry_after),
        _ => reply,
    }
}

fn log(refusal: &Refusal, problem: &Problem) {
    metrics::counter!(names::PROBLEMS, "type" => problem.kind.urn()).increment(1);
    let cause = refusal as &dyn std::error::Error;
    match refusal {
        Refusal::Internal(_) => error!(error = cause, "request failed"),
        Refusal::Unavailable(_) => warn!(error = cause, "request not served"),
        _ => debug!(error = cause, kind = ?problem.kind, "request refused"),
    }
}

fn problem(refusal: &Refusal) -> Problem {
    let malformed = |detail: &str| Problem::new(ErrorType::Malformed, detail);
    let unauthorized = |detail: &str| Problem::new(ErrorType::Unauthorized, detail);
    match refusal {
        // Someone else's resource answers like one that does not exist.
        Refusal::NotFound => malformed("there is no such resource").with_status(404),
        Refusal::MethodNotAllowed(_) => {
            malformed("the method is not allowed here; resources are read by POST-as-GET")
                .with_status(405)
        }
        Refusal::NotJose => {
            malformed("the content type must be application/jose+json").with_status(415)
        }
        Refusal::ContentCoding => {
            malformed("the body must be sent as it is, without Content-Encoding").with_status(415)
        }
        Refusal::BodyTooLarge => malformed("the request is too large").with_status(413),
        Refusal::BodyInterrupted => malformed("the request ended early"),
        Refusal::TooSlow => malformed("the request took too long to arrive").with_status(408),
        Refusal::Jws(reason) => jws_problem(*reason, ""),
        Refusal::InnerJws(reason) => jws_problem(*reason, "the inner JWS: "),
        // acme.sh knows a bad nonce by these words only.
        Refusal::BadNonce => {
            Problem::new(ErrorType::BadNonce, "JWS has an invalid anti-replay nonce")
        }
        Refusal::WrongUrl(base) => unauthorized(&format!(
            "the url in the protected header is not the requested one; those of this server begin with {base}/"
        )),
        Refusal::BadSignature => unauthorized("the signature is wrong").with_status(400),
        Refusal::WrongAlgorithm => {
            Problem::new(ErrorType::BadSignatureAlgorithm, "alg does not belong to the key")
                .with_algorithms()
        }
        Refusal::BadPublicKey(reason) => Problem::new(ErrorType::BadPublicKey, &reason.to_string()),
        Refusal::MalformedKeyChange(reason) => malformed(&reason.to_string()),
        Refusal::KeyInUse(_) => {
            malformed("the new key is that of the account in Location").with_status(409)
        }
        Refusal::FormerKey => Problem::new(
            ErrorType::BadPublicKey,
            "the key was replaced by a change of keys and is not accepted any more",
        ),
        Refusal::TooManyKeys => unauthorized("the account's key was changed too often"),
        Refusal::MalformedPayload(reason) => malformed(&reason.detail()),
        Refusal::KeyChangeMismatch(detail)
        | Refusal::BindingMismatch(detail)
        | Refusal::WrongKeyReference(detail)
        | Refusal::Payload(detail) => malformed(detail),
        Refusal::AccountDoesNotExist => {
            Problem::new(ErrorType::AccountDoesNotExist, "the account does not exist")
        }
        Refusal::AccountElsewhere => Problem::new(
            ErrorType::AccountDoesNotExist,
            "kid is no account URL of this profile: register with the directory that is used",
        ),
        Refusal::AccountDeactivated => unauthorized("the account is deactivated").with_status(401),
        Refusal::OtherAccount => unauthorized("the request is signed by another account"),
        Refusal::TermsNotAgreed(_) => Problem::new(
            ErrorType::UserActionRequired,
            "the terms of service must be agreed to: set termsOfServiceAgreed",
        ),
        Refusal::TermsChanged { instance, .. } => Problem::new(
            ErrorType::UserActionRequired,
            "the terms of service have changed; agree to them as the page at instance says",
        )
        .with_instance(instance.clone()),
        Refusal::ExternalAccountRequired => Problem::new(
            ErrorType::ExternalAccountRequired,
            "accounts must be bound to an external account: send externalAccountBinding",
        ),
        Refusal::Binding(reason) => malformed(&format!("externalAccountBinding: {reason}")),
        // A key that is unknown, expired, disabled, used up or another profile's: all answer alike.
        Refusal::BindingRefused(_) => {
            unauthorized("the external account binding is not accepted: ask for a new key")
        }
        Refusal::Contact(reason) => contact_problem(*reason),
        Refusal::Identifiers(refused) => identifiers::of_order(refused),
        Refusal::PreAuthorization(refused) => identifiers::of_pre_authorization(refused),
        Refusal::Validity(detail) => malformed(detail),
        Refusal::WildcardPreAuthorization => Problem::new(
            ErrorType::RejectedIdentifier,
            "wildcards cannot be authorized before they are ordered",
        )
        .with_status(403),
        Refusal::PreAuthorizationRate { .. } => Problem::new(
            ErrorType::RateLimited,
            "the account asked for too many authorizations; wait, or order without them",
        ),
        Refusal::OrderNotReady(status) => order_problem(*status),
        Refusal::AuthorizationNotPending => malformed("the authorization is no longer pending"),
        Refusal::AuthorizationInUse => malformed("the authorization can no longer be deactivated"),
        Refusal::Csr(reason) => csr_problem(*reason),
        Refusal::CsrNames(difference) => Problem::new(
            ErrorType::BadCsr,
            &format!("the CSR must ask for exactly the order's identifiers; it {difference}"),
        ),
        Refusal::AccountKeyInCsr => {
            Problem::new(ErrorType::BadCsr, "the CSR must not have the key of an account")
        }
        Refusal::CertificateKey(reason) => csr_problem(BadCsr::PublicKey(*reason)),
        Refusal::MalformedCertificate(reason) => malformed(&reason.to_string()),
        Refusal::NotRevocable => {
            unauthorized("the certificate is not one that this key may revoke here")
        }
        Refusal::AlreadyRevoked => {
            Problem::new(ErrorType::AlreadyRevoked, "the certificate is revoked already")
        }
        Refusal::RevocationReason(reason) => {
            Problem::new(ErrorType::BadRevocationReason, &reason.to_string())
        }
        Refusal::Unavailable(_) => {
            Problem::new(ErrorType::ServerInternal, "the server is busy; try again")
                .with_status(503)
        }
        Refusal::Internal(_) => Problem::new(ErrorType::ServerInternal, "the server failed"),
    }
}

fn jws_problem(reason: JwsErrorReason, place: &str) -> Problem {
    let detail = format!("{place}{reason}");
    match reason {
        JwsErrorReason::Malformed(_) | JwsErrorReason::KeyReference => {
            Problem::new(ErrorType::Malformed, &detail)
        }
        JwsErrorReason::UnsupportedAlgorithm => {
            Problem::new(ErrorType::BadSignatureAlgorithm, &detail).with_algorithms()
        }
        JwsErrorReason::MissingNonce => Problem::new(
            ErrorType::BadNonce,
            "JWS has an invalid anti-replay nonce: the protected header has none",
        ),
    }
}

fn contact_problem(reason: BadContact) -> Problem {
    let kind = match reason {
        BadContact::Unsupported => ErrorType::UnsupportedContact,
        BadContact::Invalid | BadContact::TooMany => ErrorType::InvalidContact,
    };
    Problem::new(kind, &reason.to_string())
}

fn order_problem(status: Status) -> Problem {
    let detail = match status {
        Status::Pending => "the order has authorizations that are not valid yet",
        Status::Ready => "the order is ready",
        Status::Processing => "the order is being processed",
        Status::Valid => "the order has its certificate already",
        Status::Invalid => "the order is invalid; place a new one",
    };
    Problem::new(ErrorType::OrderNotReady, detail)
}

fn csr_problem(reason: BadCsr) -> Problem {
    let detail = match std::error::Error::source(&reason) {
        Some(cause) => format!("{reason}: {cause}"),
        None => reason.to_string(),
    };
    Problem::new(ErrorType::BadCsr, &detail)
}

impl From<AlreadyRevoked> for Refusal {
    fn from(_: AlreadyRevoked) -> Self {
        Self::AlreadyRevoked
    }
}

/// What an order shows that ended without a failure: it expired, or an authorization was given up.
pub(crate) fn ended_order() -> Problem {
    Problem::new(
        ErrorType::Unauthorized,
        "the order expired or one of its authorizations was deactivated",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what clients act on, and that a person reads the detail.
    pub(super) fn assert_told(refusal: &Refusal, told: (ErrorType, u16), detail: &str) {
        let problem = problem(refusal);
        assert_eq!((problem.kind, problem.status), told, "{detail}");
        let text = serde_json::to_string(&problem).unwrap();
        assert!(text.contains(detail), "{detail} is not in {text}");
    }

    #[test]
    fn what_failed_inside_is_not_sent() {
        let cause = || -> Source { "redis://certmill:secret@redis is away".into() };
        for refusal in [
            Refusal::Internal(cause()),
            Refusal::Unavailable(cause()),
            Refusal::BindingRefused(cause()),
        ] {
            let response = reply(&refusal, 1).into_response();
            assert!(!format!("{response:?}").contains("secret"), "{response:?}");
        }
    }
}
