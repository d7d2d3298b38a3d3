//! External account binding (RFC 8555 §7.3.4): the account's key under a MAC whose key another system handed out, or, as a
//! compatibility switch, under the signature of a key that an operator registered.

mod ejbca;
mod mac_key;
mod operator_key;
mod registered_key;

use domain::{ExternalKeyId, ProfileName, account};
use ring::hmac;

use crate::{
    PublicJwk, UncheckedJwk, base64url,
    jws::{Flattened, JwsErrorReason, SignatureAlgorithm, header},
    strict_json::Object,
};
use ejbca::Ejbca;
pub use mac_key::MacKey;
pub use operator_key::{BadOperatorKey, OperatorKey, Unsealable};
pub use registered_key::{BadRegistration, RegisteredKey};

/// The longest `kid` that is looked at; ours are shorter.
const MAX_KID_BYTES: usize = 64;

/// Which form bindings may have beside that of RFC 8555.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compatibility {
    /// None.
    None,
    /// That of EJBCA, in which a registered key signs.
    Ejbca,
}

/// A binding as a client sent it, read but not verified.
#[derive(Clone, Debug)]
pub struct Binding {
    proof: Proof,
    url: String,
    jwk: UncheckedJwk,
    flattened: Flattened,
}

/// What is to show that whoever has an external key wants the binding.
#[derive(Clone, Debug)]
enum Proof {
    Mac { algorithm: hmac::Algorithm, key_id: String },
    Ejbca(Ejbca),
}

/// A binding was not made with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the binding was not made with the key")]
pub struct BadBinding;

impl Binding {
    /// Reads a binding. One without `kid` is in EJBCA's form where that is allowed.
    ///
    /// # Errors
    /// When it is not a flattened JWS with a MAC algorithm, `kid`, `url` and a JWK as its payload, nor in another form that
    /// is allowed, or has a nonce.
    pub fn parse(json: &str, compatibility: Compatibility) -> Result<Self, JwsErrorReason> {
        let malformed = JwsErrorReason::Malformed;
        let flattened = Flattened::parse(json.as_bytes())?;
        let header = header::parse_inner(&flattened.header)?;
        if header.contains("jwk") {
            return Err(malformed("the binding must have kid, not jwk"));
        }
        let url = header::url(&header)?;
        let has_key_id = header.contains("kid");
        let (proof, jwk) = match compatibility {
            Compatibility::Ejbca if !has_key_id => ejbca::read(&header, &flattened.payload)
                .map(|(proof, jwk)| (Proof::Ejbca(proof), jwk))?,
            Compatibility::Ejbca | Compatibility::None => {
                let jwk = str::from_utf8(&flattened.payload).ok().map(UncheckedJwk::parse);
                let Some(Ok(jwk)) = jwk else {
                    return Err(malformed("the binding's payload must be the account's key"));
                };
                (mac(&header)?, jwk)
            }
        };
        Ok(Self { proof, url, jwk, flattened })
    }

    /// Which key it claims to be made with, where that can be one of ours.
    pub fn key_id(&self, profile: &ProfileName) -> Option<ExternalKeyId> {
        match &self.proof {
            Proof::Mac { key_id, .. } => key_id.parse().ok(),
            Proof::Ejbca(proof) => Some(proof.key_id(profile)),
        }
    }

    /// The URL in it, to be compared as text with that of the request.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The account's key in it.
    pub fn jwk(&self) -> &UncheckedJwk {
        &self.jwk
    }

    /// Verifies the MAC.
    ///
    /// # Errors
    /// When it was not made with the key, or has no MAC.
    pub fn verify_mac(&self, key: &MacKey) -> Result<(), BadBinding> {
        let Proof::Mac { algorithm, .. } = &self.proof else { return Err(BadBinding) };
        let key = hmac::Key::new(*algorithm, key.octets());
        let Flattened { signing_input, signature, .. } = &self.flattened;
        hmac::verify(&key, signing_input, signature).map_err(|_| BadBinding)
    }

    /// Verifies both signatures of EJBCA's form: that of the account's key, with the algorithm of the request, and that of the
    /// registered key over the account's.
    ///
    /// # Errors
    /// When one was not made with its key, or the binding has another form.
    pub fn verify_signatures(
        &self,
        (account_key, algorithm): (&PublicJwk, SignatureAlgorithm),
        registered: &RegisteredKey,
    ) -> Result<(), BadBinding> {
        let Proof::Ejbca(proof) = &self.proof else { return Err(BadBinding) };
        self.flattened.verify(algorithm, account_key).map_err(|_| BadBinding)?;
        proof.verify(account_key, registered)
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

fn mac(header: &Object<'_>) -> Result<Proof, JwsErrorReason> {
    let malformed = JwsErrorReason::Malformed;
    let algorithm = match header::algorithm(header)? {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => return Err(malformed("the binding's alg must be HS256, HS384 or HS512")),
    };
    match header.text("kid") {
        Ok(Some(key_id)) if key_id.len() <= MAX_KID_BYTES => {
            Ok(Proof::Mac { algorithm, key_id: key_id.to_owned() })
        }
        Ok(_) | Err(_) => Err(malformed("the binding's kid is absent or no key id")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#;
    const KID: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    const HEADER: &str =
        r#"{"alg":"HS256","kid":"AAAAAAAAAAAAAAAAAAAAAA","url":"https://ca.example/new-account"}"#;

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
            let read = Binding::parse(&sent, Compatibility::None).unwrap();
            assert_eq!(read.verify_mac(&key), Ok(()), "{name}");
            assert_eq!(read.verify_mac(&other), Err(BadBinding), "{name}");
            assert_eq!(read.key_id(&ProfileName::default()), KID.parse().ok());
            assert_eq!(read.url(), "https://ca.example/new-account");
            assert_eq!(*read.jwk(), UncheckedJwk::parse(JWK).unwrap());
            let shown = serde_json::to_value(read.shown()).unwrap();
            assert_eq!(shown, serde_json::from_str::<serde_json::Value>(&sent).unwrap());
        }
        let confused = binding(&HEADER.replace("HS256", "HS512"), JWK, &key, hmac::HMAC_SHA256);
        let confused = Binding::parse(&confused, Compatibility::None).unwrap();
        assert_eq!(confused.verify_mac(&key), Err(BadBinding));
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
            HEADER.replace(&format!("\"{KID}\""), "7"),
            HEADER.replace(KID, &"k".repeat(65)),
            HEADER.replace('{', r#"{"nonce":"AAAA","#),
            HEADER.replace('{', r#"{"crit":["b64"],"#),
            HEADER.replace('{', &format!(r#"{{"jwk":{JWK},"#)),
            HEADER.replace('{', r#"{"alg":"HS256","#),
        ];
        for header in headers {
            let sent = binding(&header, JWK, &key, hmac::HMAC_SHA256);
            let refused = Binding::parse(&sent, Compatibility::None).unwrap_err();
            assert!(matches!(refused, JwsErrorReason::Malformed(_)), "{header}: {refused}");
        }
        for payload in ["", "{}", "[]", "7", &"x".repeat(10_000)] {
            let sent = binding(HEADER, payload, &key, hmac::HMAC_SHA256);
            assert!(Binding::parse(&sent, Compatibility::None).is_err(), "{payload}");
        }
        let sent = binding(HEADER, JWK, &key, hmac::HMAC_SHA256);
        let unprotected = sent.replace('{', r#"{"header":{},"#);
        assert!(Binding::parse(&unprotected, Compatibility::None).is_err());
        for sent in ["", "null", "[]", "{}", r#""x""#] {
            assert!(Binding::parse(sent, Compatibility::None).is_err(), "{sent}");
        }
    }
}
