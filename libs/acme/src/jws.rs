//! Signed requests: flattened JWS (RFC 7515 §7.2.2) as RFC 8555 §6.2 narrows it.
//!
//! biscuit verifies the signature; finding out what was signed is ours, because its reader neither shows a header before
//! verifying nor refuses `crit`, `b64`, or `kid` beside `jwk`.

mod algorithm;
mod flattened;
pub(crate) mod header;
mod inner;

use serde::de::DeserializeOwned;

pub use algorithm::{BadSignature, SignatureAlgorithm};
pub use header::KeyReference;
pub use inner::InnerJws;

use crate::{PublicJwk, nonce::Nonce, problem};
pub(crate) use flattened::Flattened;
use flattened::header_of;
use header::Header;

/// The longest request body: a CSR of [`crate::csr::MAX_CSR_BYTES`] is encoded twice within it.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A signed request, read but not verified.
#[derive(Clone, Debug)]
pub struct Jws {
    header: Header,
    flattened: Flattened,
}

/// A request that cannot be verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct JwsError {
    /// What is wrong with it.
    pub reason: JwsErrorReason,
    /// The nonce it used nevertheless, which must not be accepted again (RFC 8555 §6.5).
    pub nonce: Option<Nonce>,
}

/// Why a request cannot be verified; its text may be shown to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsErrorReason {
    /// Answered as `malformed`.
    #[error("{0}")]
    Malformed(&'static str),
    /// Both or neither of `kid` and `jwk`: answered as `malformed`.
    #[error("the protected header must have either kid or jwk")]
    KeyReference,
    /// Answered as `badSignatureAlgorithm` with [`SignatureAlgorithm::ALL`].
    #[error("the signature algorithm is not supported")]
    UnsupportedAlgorithm,
    /// Answered as `badNonce`.
    #[error("the protected header has no nonce")]
    MissingNonce,
}

/// A payload is not the JSON object that the resource takes.
#[derive(Debug, thiserror::Error)]
#[error("the payload is not the JSON object that this resource takes")]
pub struct MalformedPayload(#[source] Option<serde_json::Error>);

impl MalformedPayload {
    /// What is wrong with it and where, as it may be shown to the client.
    pub fn detail(&self) -> String {
        match &self.0 {
            Some(error) => format!("{self}: {}", problem::said(&error.to_string())),
            None => self.to_string(),
        }
    }
}

impl Jws {
    /// Reads a request body.
    ///
    /// # Errors
    /// When it is not a flattened JWS with one signature and a protected header only, or its header is not what
    /// RFC 8555 §6.2 asks for.
    pub fn parse(body: &[u8]) -> Result<Self, JwsError> {
        let flattened = Flattened::parse(body).map_err(|reason| {
            let nonce = header_of(body).and_then(|json| header::nonce_of(&json));
            JwsError { reason, nonce }
        })?;
        let header = Header::parse(&flattened.header)?;
        Ok(Self { header, flattened })
    }

    /// Verifies the signature with the key that `kid` or `jwk` names.
    ///
    /// # Errors
    /// When the algorithm does not belong to the key, or the signature is wrong.
    pub fn verify(&self, key: &PublicJwk) -> Result<(), BadSignature> {
        self.flattened.verify(self.header.algorithm, key)
    }

    /// The `alg` of the protected header.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.header.algorithm
    }

    /// The anti-replay nonce of the protected header.
    pub fn nonce(&self) -> &Nonce {
        &self.header.nonce
    }

    /// The URL that was signed, to be compared as text with the one requested (RFC 8555 §6.4).
    pub fn url(&self) -> &str {
        &self.header.url
    }

    /// Whose signature it claims to be.
    pub fn key_reference(&self) -> &KeyReference {
        &self.header.key
    }

    /// The payload; worth nothing before [`Self::verify`].
    pub fn payload(&self) -> &[u8] {
        &self.flattened.payload
    }

    /// Whether the payload is the empty string (RFC 8555 §6.3).
    pub fn is_post_as_get(&self) -> bool {
        self.flattened.payload.is_empty()
    }

    /// Reads the payload as a JSON object.
    ///
    /// # Errors
    /// When it is none, or members have other types than they should.
    pub fn payload_object<T: DeserializeOwned>(&self) -> Result<T, MalformedPayload> {
        // serde reads a struct from an array too, and `[]` as one whose members are all absent.
        let payload = self.payload();
        if !payload.trim_ascii_start().starts_with(b"{") {
            return Err(MalformedPayload(None));
        }
        serde_json::from_slice(payload).map_err(|error| MalformedPayload(Some(error)))
    }
}
