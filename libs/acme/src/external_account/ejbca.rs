//! EJBCA's asymmetric form of a binding: the account's key, signed by a key that the operator registered, in a JWS that the
//! account's key signs although its header says HS256.
//!
//! Its members are known by name; what exactly stands in `cf` and `aks` is our own definition, see
//! `docs/rfc-conformance.md`.

use domain::{ExternalKeyId, KeyFingerprint, ProfileName};
use ring::digest::{Context, SHA256};

use super::{BadBinding, RegisteredKey};
use crate::{
    PublicJwk, UncheckedJwk, base64url,
    jws::{JwsErrorReason, header},
    strict_json::{Object, Value},
};

/// The longest signature as base64url: 512 octets of RSA.
const MAX_SIGNATURE_BYTES: usize = 683;
/// Keeps the ids made here apart from other hashes of profiles.
const PURPOSE: &[u8] = b"certmill registered key v1\0";

/// What shows that the owner of a registered key wants the binding.
#[derive(Clone, Debug)]
pub(super) struct Ejbca {
    /// `cf`: which key.
    fingerprint: KeyFingerprint,
    /// `aks`: its signature over the account's key.
    signature: Vec<u8>,
}

/// Reads header and payload.
pub(super) fn read(
    header: &Object<'_>,
    payload: &[u8],
) -> Result<(Ejbca, UncheckedJwk), JwsErrorReason> {
    let malformed = JwsErrorReason::Malformed;
    if header::algorithm(header)? != "HS256" {
        return Err(malformed("the alg of a binding without kid must be HS256"));
    }
    parse(payload)
        .ok_or(malformed("the payload of a binding without kid must have key, cf and aks"))
}

fn parse(payload: &[u8]) -> Option<(Ejbca, UncheckedJwk)> {
    let payload = Object::parse(payload).ok()?;
    let text = |name| payload.text(name).ok().flatten();
    let Some(Value::Object(jwk)) = payload.get("key") else { return None };
    let signature = text("aks").filter(|text| text.len() <= MAX_SIGNATURE_BYTES)?;
    let proof = Ejbca {
        fingerprint: text("cf")?.parse().ok()?,
        signature: base64url::decode(signature).ok()?,
    };
    Some((proof, UncheckedJwk::from_object(jwk).ok()?))
}

impl Ejbca {
    /// The id under which the key was registered.
    pub(super) fn key_id(&self, profile: &ProfileName) -> ExternalKeyId {
        key_id(profile, &self.fingerprint)
    }

    /// Verifies the signature over the account's key.
    pub(super) fn verify(
        &self,
        account_key: &PublicJwk,
        registered: &RegisteredKey,
    ) -> Result<(), BadBinding> {
        let signed = account_key.public_key().canonical_jwk();
        if registered.fingerprint() != &self.fingerprint
            || !registered.key().has_signed(signed.as_bytes(), &self.signature)
        {
            return Err(BadBinding);
        }
        Ok(())
    }
}

/// The id of a registered key: who registers it again finds it, and another profile does not know it.
pub(super) fn key_id(profile: &ProfileName, fingerprint: &KeyFingerprint) -> ExternalKeyId {
    let mut context = Context::new(&SHA256);
    context.update(PURPOSE);
    context.update(profile.as_str().as_bytes());
    // No profile's name has one.
    context.update(&[0]);
    context.update(fingerprint.as_str().as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    ExternalKeyId::from_hash(&hash)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SigningKey as _,
    };

    use super::*;

    const JWK: &str =
        r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn payload(registered: &RegisteredKey, signature: &[u8]) -> String {
        let (cf, aks) = (registered.fingerprint(), base64url::encode(signature));
        format!(r#"{{"key":{JWK},"cf":"{cf}","aks":"{aks}"}}"#)
    }

    #[test]
    fn each_kind_of_registered_key_signs_the_canonical_account_key() {
        let account_key = PublicJwk::parse(JWK).unwrap();
        let kinds = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
        let pairs = kinds.map(|kind| KeyPair::generate_for(kind).unwrap());
        let register = |pair: &KeyPair| RegisteredKey::from_public_key(&pair.public_key_pem());
        let keys: Vec<_> = pairs.iter().map(|pair| register(pair).unwrap()).collect();
        for (pair, registered) in pairs.iter().zip(&keys) {
            let signature = pair.sign(JWK.as_bytes()).unwrap();
            let (proof, jwk) = parse(payload(registered, &signature).as_bytes()).unwrap();
            assert_eq!(jwk.check().as_ref(), Ok(&account_key));
            for key in &keys {
                let expected = if key == registered { Ok(()) } else { Err(BadBinding) };
                assert_eq!(proof.verify(&account_key, key), expected);
            }
            let of_spaces = pair.sign(JWK.replace(',', ", ").as_bytes()).unwrap();
            let (spaced, _) = parse(payload(registered, &of_spaces).as_bytes()).unwrap();
            assert_eq!(spaced.verify(&account_key, registered), Err(BadBinding));
        }
    }

    #[test]
    fn absent_and_odd_members_are_refused() {
        let pair = KeyPair::generate().unwrap();
        let registered = RegisteredKey::from_public_key(&pair.public_key_pem()).unwrap();
        let good = payload(&registered, b"signature");
        assert!(parse(good.as_bytes()).is_some());
        let fingerprint = registered.fingerprint().as_str();
        for bad in [
            String::new(),
            "[]".to_owned(),
            "{}".to_owned(),
            good.replace("\"key\"", "\"jwk\""),
            good.replace("\"cf\"", "\"fc\""),
            good.replace("\"aks\"", "\"ask\""),
            good.replace(fingerprint, &fingerprint[1..]),
            good.replace(fingerprint, &fingerprint.replace(char::is_alphanumeric, "G")),
            good.replace("c2lnbmF0dXJl", "c2lnbmF0dXJl="),
            good.replace("c2lnbmF0dXJl", &"A".repeat(MAX_SIGNATURE_BYTES + 1)),
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
