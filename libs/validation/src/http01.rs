//! http-01: a file on the applicant's web server proves control of a name or address (RFC 8555 §8.3, RFC 8738 §4).

mod fetch;
mod target;

use std::net::SocketAddr;

use domain::{Failure, FailureKind, Identifier};
use reqwest::{Response, StatusCode, header::LOCATION};

pub(crate) use self::fetch::WebClient;
use self::{
    fetch::{BodyError, FetchError},
    target::Target,
};
use crate::{
    Validator,
    address::{Candidates, Host},
    observed::Observed,
};

/// What the applicant was asked to serve.
#[derive(Clone, Copy)]
pub(crate) struct Proof<'a> {
    /// The last segment of the path.
    pub(crate) token: &'a str,
    /// The body.
    pub(crate) key_authorization: &'a str,
}

/// Checks that the web server at the identifier serves the key authorization, following redirects hop by hop.
pub(crate) async fn validate(
    validator: &Validator,
    identifier: &Identifier,
    proof: Proof<'_>,
    observed: &mut Observed,
) -> Result<(), Failure> {
    let settings = &validator.settings;
    let mut target = Target::first(Host::from(identifier), settings.http01_port, proof.token)?;
    for _ in 0..=settings.max_redirects {
        let response = request(validator, &target, observed).await?;
        match response.status() {
            StatusCode::OK => return check_body(validator, &target, response, proof).await,
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                target = target.redirected(response.headers().get(LOCATION), settings)?;
            }
            status => {
                let detail = format!("{target} answered with status {}, not 200", status.as_u16());
                return Err(Failure::new(FailureKind::IncorrectResponse, &detail));
            }
        }
    }
    let detail =
        format!("more than {} redirects, the last of them to {target}", settings.max_redirects);
    Err(Failure::new(FailureKind::Connection, &detail))
}

/// Asks one candidate after the other until one can be connected to.
async fn request(
    validator: &Validator,
    target: &Target,
    observed: &mut Observed,
) -> Result<Response, Failure> {
    let mut failed = None;
    let mut candidates = Candidates::of(validator, &target.host, observed).await?;
    while let Some(address) = candidates.next(observed).await {
        let address = SocketAddr::new(address, target.port);
        observed.request(&target.url, address);
        match validator.web.get(&target.url, address).await {
            Ok(response) => {
                observed.status(response.status().as_u16());
                return Ok(response);
            }
            Err(error) if error.before_connected() => failed = Some((error, address)),
            Err(error) => return Err(error.failure(target, address, observed)),
        }
    }
    Err(match failed {
        Some((error, address)) => error.failure(target, address, observed),
        // There is at least one candidate.
        None => Failure::new(FailureKind::ServerInternal, "no address was tried"),
    })
}

async fn check_body(
    validator: &Validator,
    target: &Target,
    response: Response,
    proof: Proof<'_>,
) -> Result<(), Failure> {
    let incorrect = |detail: String| Failure::new(FailureKind::IncorrectResponse, &detail);
    let limit = validator.settings.max_body_bytes;
    let body = match fetch::body(response, limit).await {
        Ok(body) => body,
        Err(BodyError::TooLong) => {
            return Err(incorrect(format!("{target} answered with more than {limit} bytes")));
        }
        Err(BodyError::Broken(error)) => return Err(error.while_reading(target)),
    };
    // RFC 8555 §8.3: whitespace at the end of the body is ignored.
    if body.trim_ascii_end() == proof.key_authorization.as_bytes() {
        return Ok(());
    }
    Err(incorrect(format!(
        "{target} answered with {} bytes that are not the key authorization",
        body.len()
    )))
}

impl FetchError {
    /// Tells the applicant, and the caller where the applicant is not meant.
    fn failure(self, target: &Target, address: SocketAddr, observed: &mut Observed) -> Failure {
        let kind = match self {
            Self::Exhausted(exhausted) => {
                observed.note_exhausted(exhausted);
                FailureKind::ServerInternal
            }
            Self::Tls => FailureKind::Tls,
            Self::ConnectTimeout
            | Self::ConnectionRefused
            | Self::NotConnected
            | Self::ResponseTimeout
            | Self::NotHttp => FailureKind::Connection,
        };
        Failure::new(kind, &format!("{target} at {}: {self}", address.ip()))
    }

    fn while_reading(self, target: &Target) -> Failure {
        Failure::new(FailureKind::Connection, &format!("{target} began to answer, then: {self}"))
    }
}
