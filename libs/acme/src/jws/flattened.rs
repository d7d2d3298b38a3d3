//! The flattened JSON serialization (RFC 7515 §7.2.2), taken apart and decoded, but not judged.

use super::{BadSignature, JwsErrorReason, MAX_BODY_BYTES, SignatureAlgorithm};
use crate::{PublicJwk, base64url, strict_json::Object};

/// The longest protected header as base64url: a 4096-bit key and two URLs fit.
const MAX_PROTECTED_BYTES: usize = 8 * 1024;
/// The longest signature as base64url: 512 octets of RSA.
const MAX_SIGNATURE_BYTES: usize = 683;

/// The parts of a JWS.
#[derive(Clone, Debug)]
pub(crate) struct Flattened {
    /// The protected header's JSON.
    pub(crate) header: Vec<u8>,
    /// What is signed.
    pub(crate) signing_input: Vec<u8>,
    /// The payload.
    pub(crate) payload: Vec<u8>,
    /// The signature or MAC.
    pub(crate) signature: Vec<u8>,
}

/// The protected header's JSON, also of a body that is otherwise no JWS.
pub(super) fn header_of(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() > MAX_BODY_BYTES {
        return None;
    }
    let object = Object::parse(body).ok()?;
    let protected = object.text("protected").ok()??;
    let fits = protected.len() <= MAX_PROTECTED_BYTES;
    fits.then(|| base64url::decode(protected).ok())?
}

impl Flattened {
    /// Reads a JWS that has one signature and nothing but a protected header.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, JwsErrorReason> {
        let malformed = JwsErrorReason::Malformed;
        if body.len() > MAX_BODY_BYTES {
            return Err(malformed("the request is too long"));
        }
        let object =
            Object::parse(body).map_err(|_| malformed("the body is not a flattened JWS"))?;
        if object.contains("header") || object.contains("signatures") {
            return Err(malformed("the JWS must have a protected header and one signature only"));
        }
        let member = |name, max_bytes, otherwise| match object.text(name) {
            Ok(Some(text)) if text.len() <= max_bytes => {
                let octets = base64url::decode(text);
                Ok((text, octets.map_err(|_| malformed("the JWS is not unpadded base64url"))?))
            }
            Ok(_) | Err(_) => Err(malformed(otherwise)),
        };
        let (protected, header) = member(
            "protected",
            MAX_PROTECTED_BYTES,
            "the JWS has no protected header, or it is no text or too long",
        )?;
        let (payload_text, payload) = member(
            "payload",
            MAX_BODY_BYTES,
            "the JWS has no payload, which may be an empty text, or it is no text or too long",
        )?;
        let (_, signature) = member(
            "signature",
            MAX_SIGNATURE_BYTES,
            "the JWS has no signature, or it is no text or too long",
        )?;
        let signing_input = [protected.as_bytes(), b".", payload_text.as_bytes()].concat();
        Ok(Self { header, signing_input, payload, signature })
    }

    /// Verifies the signature.
    pub(crate) fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &PublicJwk,
    ) -> Result<(), BadSignature> {
        algorithm.verify(key.public_key(), &self.signing_input, &self.signature)
    }
}
