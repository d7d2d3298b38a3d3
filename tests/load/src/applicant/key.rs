//! An account's ES256 key and the requests it signs (RFC 8555 §6.2, RFC 7515 §7.2.2).

use anyhow::anyhow;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde::Serialize;

/// One coordinate of a point on P-256.
const COORDINATE_BYTES: usize = 32;

/// An account key.
pub(crate) struct AccountKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    jwk: Jwk,
}

/// The public key; its members stand in the order of RFC 7638 §3.2, so that its JSON is also what the thumbprint is of.
#[derive(Clone, Serialize)]
struct Jwk {
    crv: &'static str,
    kty: &'static str,
    x: String,
    y: String,
}

#[derive(Serialize)]
struct Protected<'a> {
    alg: &'static str,
    nonce: &'a str,
    url: &'a str,
    #[serde(flatten)]
    signer: Signer<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Signer<'a> {
    Jwk(&'a Jwk),
    Kid(&'a str),
}

#[derive(Serialize)]
struct FlattenedJws<'a> {
    protected: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl AccountKey {
    /// Makes a new key.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .map_err(|_| anyhow!("no account key could be made"))?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random)
            .map_err(|_| anyhow!("the account key made was rejected"))?;
        // An uncompressed point: one octet that says so, then x and y.
        let coordinates = pair.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = coordinates
            .split_at_checked(COORDINATE_BYTES)
            .ok_or_else(|| anyhow!("the public key is too short"))?;
        let jwk = Jwk {
            crv: "P-256",
            kty: "EC",
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        };
        Ok(Self { pair, random, jwk })
    }

    /// The thumbprint that goes into key authorizations (RFC 8555 §8.1).
    pub(crate) fn thumbprint(&self) -> anyhow::Result<String> {
        let json = serde_json::to_vec(&self.jwk)?;
        Ok(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &json)))
    }

    /// Signs a request of the account whose URL is `account`, or one that carries the key itself.
    pub(crate) fn sign(
        &self,
        account: Option<&str>,
        (url, nonce): (&str, &str),
        payload: &str,
    ) -> anyhow::Result<Vec<u8>> {
        let signer = account.map_or(Signer::Jwk(&self.jwk), Signer::Kid);
        let protected = Protected { alg: "ES256", nonce, url, signer };
        let protected = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&protected)?);
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = self
            .pair
            .sign(&self.random, format!("{protected}.{payload}").as_bytes())
            .map_err(|_| anyhow!("the account key could not sign"))?;
        Ok(serde_json::to_vec(&FlattenedJws {
            protected: &protected,
            payload: &payload,
            signature: &URL_SAFE_NO_PAD.encode(signature),
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protected_header_names_the_account_or_carries_the_key() {
        let key = AccountKey::generate().expect("a key");
        for (account, member) in [(Some("https://a/1"), "kid"), (None, "jwk")] {
            let jws = key.sign(account, ("https://a/2", "n"), "{}").expect("a request");
            let jws: serde_json::Value = serde_json::from_slice(&jws).expect("JSON");
            let protected = jws["protected"].as_str().expect("text");
            let protected = URL_SAFE_NO_PAD.decode(protected).expect("base64url");
            let protected: serde_json::Value = serde_json::from_slice(&protected).expect("JSON");
            let mut members: Vec<_> =
                protected.as_object().expect("an object").keys().map(String::as_str).collect();
            members.sort_unstable();
            let mut expected = vec!["alg", "nonce", "url", member];
            expected.sort_unstable();
            assert_eq!(members, expected);
        }
    }
}
