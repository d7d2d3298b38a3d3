//! The protected header of a request (RFC 8555 §6.2).

use super::{JwsError, JwsErrorReason, SignatureAlgorithm};
use crate::{
    jwk::UncheckedJwk,
    nonce::Nonce,
    strict_json::{Object, Value},
};

/// The longest `url` and `kid`.
const MAX_URL_BYTES: usize = 2048;

/// What a request says about itself under its signature.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) nonce: Nonce,
    pub(super) url: String,
    pub(super) key: KeyReference,
}

/// Which key is to verify a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReference {
    /// The account URL of `kid`.
    Kid(String),
    /// The key itself: for newAccount, and for revokeCert by certificate key.
    Jwk(Box<UncheckedJwk>),
}

impl Header {
    pub(super) fn parse(json: &[u8]) -> Result<Self, JwsError> {
        let without_nonce = |reason| JwsError { reason, nonce: None };
        let header = Object::parse(json)
            .map_err(|_| without_nonce(malformed("the protected header is not a JSON object")))?;
        let nonce = nonce(&header).map_err(without_nonce)?;
        Self::read(&header, nonce.clone()).map_err(|reason| JwsError { reason, nonce })
    }

    fn read(header: &Object<'_>, nonce: Option<Nonce>) -> Result<Self, JwsErrorReason> {
        Ok(Self {
            algorithm: SignatureAlgorithm::from_name(algorithm(header)?)
                .ok_or(JwsErrorReason::UnsupportedAlgorithm)?,
            key: key_reference(header)?,
            url: url(header)?,
            nonce: nonce.ok_or(JwsErrorReason::MissingNonce)?,
        })
    }
}

fn nonce(header: &Object<'_>) -> Result<Option<Nonce>, JwsErrorReason> {
    let bad = malformed("the nonce is not base64url, or too long");
    match header.text("nonce") {
        Ok(None) => Ok(None),
        Ok(Some(text)) => text.parse().map(Some).map_err(|_| bad),
        Err(_) => Err(bad),
    }
}

/// The nonce of a protected header, whatever else is in it.
pub(super) fn nonce_of(json: &[u8]) -> Option<Nonce> {
    Object::parse(json).ok()?.text("nonce").ok()??.parse().ok()
}

/// Reads the header of a JWS inside a request, which has no nonce of its own.
pub(crate) fn parse_inner(json: &[u8]) -> Result<Object<'_>, JwsErrorReason> {
    let header = Object::parse(json)
        .map_err(|_| malformed("the inner protected header is not a JSON object"))?;
    if header.contains("nonce") {
        return Err(malformed("the inner JWS must not have a nonce"));
    }
    Ok(header)
}

/// The name of the algorithm.
pub(crate) fn algorithm<'a>(header: &'a Object<'_>) -> Result<&'a str, JwsErrorReason> {
    // `b64` changes what is signed (RFC 7797); `crit` asks us to refuse what we do not understand, which is all.
    if header.contains("crit") || header.contains("b64") {
        return Err(malformed("the protected header must not have crit or b64"));
    }
    let algorithm = header.text("alg").map_err(|_| malformed("alg is not a text"))?;
    algorithm.ok_or(malformed("the protected header has no alg"))
}

/// The URL that is signed.
pub(crate) fn url(header: &Object<'_>) -> Result<String, JwsErrorReason> {
    bounded_url(header, "url")?.ok_or(malformed("the protected header has no url"))
}

pub(super) fn key_reference(header: &Object<'_>) -> Result<KeyReference, JwsErrorReason> {
    match (bounded_url(header, "kid")?, header.get("jwk")) {
        (Some(kid), None) => Ok(KeyReference::Kid(kid)),
        (None, Some(Value::Object(jwk))) => UncheckedJwk::from_object(jwk)
            .map(|jwk| KeyReference::Jwk(Box::new(jwk)))
            .map_err(|_| malformed("the jwk is malformed")),
        (None, Some(Value::Text(_) | Value::Other)) => Err(malformed("the jwk is not an object")),
        (Some(_), Some(_)) | (None, None) => Err(JwsErrorReason::KeyReference),
    }
}

fn bounded_url(header: &Object<'_>, name: &str) -> Result<Option<String>, JwsErrorReason> {
    match header.text(name) {
        Ok(None) => Ok(None),
        Ok(Some(url)) if url.len() <= MAX_URL_BYTES => Ok(Some(url.to_owned())),
        Ok(Some(_)) | Err(_) => Err(malformed("url or kid is no text or too long")),
    }
}

fn malformed(text: &'static str) -> JwsErrorReason {
    JwsErrorReason::Malformed(text)
}
