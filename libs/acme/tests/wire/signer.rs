//! Keys that sign requests as clients do.

use acme::{PublicJwk, base64url};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaEncoding, RsaKeyPair,
    },
};

const RSA_2048: &[u8] = include_bytes!("../data/rsa2048.key.der");
const RSA_4096: &[u8] = include_bytes!("../data/rsa4096.key.der");

/// A key pair with the algorithm it signs with.
pub(crate) struct Signer {
    pub(crate) alg: &'static str,
    pub(crate) jwk: String,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn es256() -> Self {
        Self::ec("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn es384() -> Self {
        Self::ec("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(crate) fn rs256() -> Self {
        Self::rsa("RS256", RSA_2048, &RSA_PKCS1_SHA256)
    }

    pub(crate) fn ps256() -> Self {
        Self::rsa("PS256", RSA_2048, &RSA_PSS_SHA256)
    }

    pub(crate) fn eddsa() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = base64url::encode(pair.public_key().as_ref());
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
        Self { alg: "EdDSA", jwk, pair: Pair::Ed(pair) }
    }

    /// One key of every algorithm, and the longest.
    pub(crate) fn all() -> Vec<Self> {
        let long = Self::rsa("RS256", RSA_4096, &RSA_PKCS1_SHA256);
        vec![Self::es256(), Self::es384(), Self::rs256(), Self::ps256(), Self::eddsa(), long]
    }

    fn ec(alg: &'static str, curve: &str, algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let coordinates = &pair.public_key().as_ref()[1..];
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        let jwk = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#);
        Self { alg, jwk, pair: Pair::Ec(pair) }
    }

    fn rsa(alg: &'static str, pkcs1: &[u8], encoding: &'static dyn RsaEncoding) -> Self {
        let pair = RsaKeyPair::from_der(pkcs1).unwrap();
        let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let n = base64url::encode(&public.n);
        let jwk = format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#);
        Self { alg, jwk, pair: Pair::Rsa(pair, encoding) }
    }

    pub(crate) fn public_jwk(&self) -> PublicJwk {
        PublicJwk::parse(&self.jwk).unwrap()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A good request by `jwk`.
    pub(crate) fn request(&self, payload: &str) -> Vec<u8> {
        let jwk = &self.jwk;
        self.request_with_header(&header(self.alg, &format!(r#""jwk":{jwk}"#)), payload)
    }

    pub(crate) fn request_with_header(&self, header: &str, payload: &str) -> Vec<u8> {
        let protected = base64url::encode(header.as_bytes());
        let payload = base64url::encode(payload.as_bytes());
        let signature = self.sign(format!("{protected}.{payload}").as_bytes());
        body(&protected, &payload, &base64url::encode(&signature))
    }
}

/// A protected header with everything but the key.
pub(crate) fn header(alg: &str, key: &str) -> String {
    format!(r#"{{"alg":"{alg}","nonce":"AAAA","url":"https://ca.example/acme/new-account",{key}}}"#)
}

pub(crate) fn body(protected: &str, payload: &str, signature: &str) -> Vec<u8> {
    format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
        .into_bytes()
}
