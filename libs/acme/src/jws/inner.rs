//! A JWS inside a request, signed by another key than the request: that of keyChange (RFC 8555 §7.3.5).

use super::{BadSignature, Flattened, JwsErrorReason, KeyReference, SignatureAlgorithm, header};
use crate::{PublicJwk, UncheckedJwk};

/// A JWS that brings its key along and has no nonce, read but not verified.
#[derive(Clone, Debug)]
pub struct InnerJws {
    algorithm: SignatureAlgorithm,
    jwk: Box<UncheckedJwk>,
    url: String,
    flattened: Flattened,
}

impl InnerJws {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not a flattened JWS with `alg`, `jwk` and `url`, or has a nonce.
    pub fn parse(json: &[u8]) -> Result<Self, JwsErrorReason> {
        let flattened = Flattened::parse(json)?;
        let header = header::parse_inner(&flattened.header)?;
        let algorithm = SignatureAlgorithm::from_name(header::algorithm(&header)?)
            .ok_or(JwsErrorReason::UnsupportedAlgorithm)?;
        let KeyReference::Jwk(jwk) = header::key_reference(&header)? else {
            return Err(JwsErrorReason::Malformed("the inner JWS must have jwk, not kid"));
        };
        let url = header::url(&header)?;
        Ok(Self { algorithm, jwk, url, flattened })
    }

    /// The key that it brings along.
    pub fn jwk(&self) -> &UncheckedJwk {
        &self.jwk
    }

    /// The URL that was signed, to be compared as text with that of the request.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Verifies the signature with the key it brings along, once that is accepted.
    ///
    /// # Errors
    /// When the algorithm does not belong to the key, or the signature is wrong.
    pub fn verify(&self, key: &PublicJwk) -> Result<(), BadSignature> {
        self.flattened.verify(self.algorithm, key)
    }

    /// The payload; worth nothing before [`Self::verify`].
    pub fn payload(&self) -> &[u8] {
        &self.flattened.payload
    }
}
