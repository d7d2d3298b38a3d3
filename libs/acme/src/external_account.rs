//! External account binding (RFC 8555 §7.3.4): the account's key under a MAC whose key another system handed out.

mod mac_key;
mod operator_key;

use domain::account;
use ring::hmac;

use crate::{
    UncheckedJwk, base64url,
    jws::{Flattened, JwsErrorReason, header},
};
pub use mac_key::MacKey;
pub use operator_key::{BadOperatorKey, OperatorKey, Unsealable};

/// The longest `kid` that is looked at; ours are shorter.
const MAX_KID_BYTES: usize = 64;

/// A binding as a client sent it, read but not verified.
#[derive(Clone, Debug)]
pub struct Binding {
    algorithm: hmac::Algorithm,
    key_id: String,
    url: String,
    jwk: UncheckedJwk,
    flattened: Flattened,
}

/// The MAC is not that of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MAC is wrong")]
pub struct BadMac;

impl Binding {
    /// Reads a binding.
    ///
    /// # Errors
    /// When it is not a flattened JWS with a MAC algorithm, `kid`, `url` and a JWK as its payload, or has a nonce.
    pub fn parse(json: &str) -> Result<Self, JwsErrorReason> {
        let malformed = JwsErrorReason::Malformed;
        let flattened = Flattened::parse(json.as_bytes())?;
        let header = header::parse_inner(&flattened.header)?;
        let algorithm = match header::algorithm(&header)? {
            "HS256" => hmac::HMAC_SHA256,
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => return Err(malformed("the binding's alg must be HS256, HS384 or HS512")),
        };
        let key_id = match header.text("kid") {
            Ok(Some(key_id)) if key_id.len() <= MAX_KID_BYTES => key_id.to_owned(),
            Ok(_) | Err(_) => return Err(malformed("the binding's kid is absent or no key id")),
        };
        if header.contains("jwk") {
            return Err(malformed("the binding must have kid, not jwk"));
        }
        let url = header::url(&header)?;
        let jwk = str::from_utf8(&flattened.payload).ok().map(UncheckedJwk::parse);
        let Some(Ok(jwk)) = jwk else {
            return Err(malformed("the binding's payload must be the account's key"));
        };
        Ok(Self { algorithm, key_id, url, jwk, flattened })
    }

    /// Which key it claims to be made with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The URL under the MAC, to be compared as text with that of the request.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The account's key under the MAC.
    pub fn jwk(&self) -> &UncheckedJwk {
        &self.jwk
    }

    /// Verifies the MAC.
    ///
    /// # Errors
    /// When it was not made with the key.
    pub fn verify(&self, key: &MacKey) -> Result<(), BadMac> {
        let key = hmac::Key::new(self.algorithm, key.octets());
        let Flattened { signing_input, signature, .. } = &self.flattened;
        hmac::verify(&key, signing_input, signature).map_err(|_| BadMac)
    }

    /// What the account shows of it. There is one text for all octets, so that this is what was sent.
    pub fn shown(&self) -> account::Binding {
        account::Binding {
            protected: base64url::encode(&self.flattened.header),
            payload: base64url::encode(&self.flattened.payload),
            signature: base64url::encode(&self.flattened.signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#;
    const HEADER: &str = r#"{"alg":"HS256","kid":"key","url":"https://ca.example/new-account"}"#;

    fn binding(header: &str, payload: &str, key: &MacKey, algorithm: hmac::Algorithm) -> String {
        let (protected, payload) =
            (base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
        let key = hmac::Key::new(algorithm, key.octets());
        let mac = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        let signature = base64url::encode(mac.as_ref());
        format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
    }

    #[test]
    fn every_mac_algorithm_is_verified_with_its_key_only() {
        let (key, other) = (MacKey::random().unwrap(), MacKey::random().unwrap());
        let algorithms = [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ];
        for (name, algorithm) in algorithms {
            let sent = binding(&HEADER.replace("HS256", name), JWK, &key, algorithm);
            let read = Binding::parse(&sent).unwrap();
            assert_eq!(read.verify(&key), Ok(()), "{name}");
            assert_eq!(read.verify(&other), Err(BadMac), "{name}");
            assert_eq!((read.key_id(), read.url()), ("key", "https://ca.example/new-account"));
            assert_eq!(*read.jwk(), UncheckedJwk::parse(JWK).unwrap());
            let shown = serde_json::to_value(read.shown()).unwrap();
            assert_eq!(shown, serde_json::from_str::<serde_json::Value>(&sent).unwrap());
        }
        let confused = binding(&HEADER.replace("HS256", "HS512"), JWK, &key, hmac::HMAC_SHA256);
        assert_eq!(Binding::parse(&confused).unwrap().verify(&key), Err(BadMac));
    }

    #[test]
    fn other_forms_are_refused() {
        let key = MacKey::random().unwrap();
        let headers = [
            HEADER.replace("HS256", "ES256"),
            HEADER.replace("HS256", "none"),
            HEADER.replace("HS256", "HS1"),
            HEADER.replace("kid", "kit"),
            HEADER.replace("url", "uri"),
            HEADER.replace("\"key\"", "7"),
            HEADER.replace("\"key\"", &format!("\"{}\"", "k".repeat(65))),
            HEADER.replace('{', r#"{"nonce":"AAAA","#),
            HEADER.replace('{', r#"{"crit":["b64"],"#),
            HEADER.replace('{', &format!(r#"{{"jwk":{JWK},"#)),
            HEADER.replace('{', r#"{"alg":"HS256","#),
        ];
        for header in headers {
            let sent = binding(&header, JWK, &key, hmac::HMAC_SHA256);
            let refused = Binding::parse(&sent).unwrap_err();
            assert!(matches!(refused, JwsErrorReason::Malformed(_)), "{header}: {refused}");
        }
        for payload in ["", "{}", "[]", "7", &"x".repeat(10_000)] {
            let sent = binding(HEADER, payload, &key, hmac::HMAC_SHA256);
            assert!(Binding::parse(&sent).is_err(), "{payload}");
        }
        let sent = binding(HEADER, JWK, &key, hmac::HMAC_SHA256);
        let unprotected = sent.replace('{', r#"{"header":{},"#);
        assert!(Binding::parse(&unprotected).is_err());
        for sent in ["", "null", "[]", "{}", r#""x""#] {
            assert!(Binding::parse(sent).is_err(), "{sent}");
        }
    }
}
