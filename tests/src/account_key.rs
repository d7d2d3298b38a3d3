//! Account keys of every kind, and the requests they sign (RFC 7515, RFC 7518, RFC 8037).

use anyhow::{Context as _, anyhow};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{run, tool};

/// A private key that signs requests.
pub struct AccountKey {
    pair: Pair,
    algorithm: &'static str,
    jwk: Value,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
}

impl AccountKey {
    /// Makes a key on P-256, for ES256.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn p256() -> anyhow::Result<Self> {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        Self::ecdsa(algorithm, "ES256", "P-256")
    }

    /// Makes a key on P-384, for ES384.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn p384() -> anyhow::Result<Self> {
        let algorithm = &signature::ECDSA_P384_SHA384_FIXED_SIGNING;
        Self::ecdsa(algorithm, "ES384", "P-384")
    }

    /// Makes an Ed25519 key, for EdDSA.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn ed25519() -> anyhow::Result<Self> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| anyhow!("no key could be made"))?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref())?;
        let jwk = json!({ "crv": "Ed25519", "kty": "OKP", "x": base64url(pair.public_key()) });
        Ok(Self { pair: Pair::Ed25519(pair), algorithm: "EdDSA", jwk })
    }

    /// Makes an RSA key of so many bits, for RS256.
    ///
    /// # Errors
    /// When openssl makes none.
    pub async fn rsa(bits: u32) -> anyhow::Result<Self> {
        Self::rsa_for(bits, "RS256", &signature::RSA_PKCS1_SHA256).await
    }

    /// Makes an RSA key of so many bits, for PS256.
    ///
    /// # Errors
    /// When openssl makes none.
    pub async fn rsa_pss(bits: u32) -> anyhow::Result<Self> {
        Self::rsa_for(bits, "PS256", &signature::RSA_PSS_SHA256).await
    }

    fn ecdsa(
        algorithm: &'static signature::EcdsaSigningAlgorithm,
        name: &'static str,
        curve: &'static str,
    ) -> anyhow::Result<Self> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
            .map_err(|_| anyhow!("no key could be made"))?;
        Self::from_ecdsa_pkcs8((algorithm, name, curve), pkcs8.as_ref())
    }

    /// Takes a key on P-256.
    pub(crate) fn from_p256_pkcs8(pkcs8: &[u8]) -> anyhow::Result<Self> {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        Self::from_ecdsa_pkcs8((algorithm, "ES256", "P-256"), pkcs8)
    }

    fn from_ecdsa_pkcs8(
        (algorithm, name, curve): (
            &'static signature::EcdsaSigningAlgorithm,
            &'static str,
            &'static str,
        ),
        pkcs8: &[u8],
    ) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &SystemRandom::new())?;
        // An uncompressed point: one octet that says so, then x and y.
        let point = pair.public_key().as_ref().get(1..).context("a point")?;
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({ "crv": curve, "kty": "EC", "x": base64url(x), "y": base64url(y) });
        Ok(Self { pair: Pair::Ecdsa(pair), algorithm: name, jwk })
    }

    /// ring signs with RSA keys but makes none.
    async fn rsa_for(
        bits: u32,
        algorithm: &'static str,
        encoding: &'static dyn signature::RsaEncoding,
    ) -> anyhow::Result<Self> {
        let files = TempDir::new()?;
        let file = files.path().join("key.pem");
        let mut command = Command::new(tool("openssl")?);
        command
            .args(["genpkey", "-algorithm", "RSA"])
            .args(["-pkeyopt", &format!("rsa_keygen_bits:{bits}"), "-out"])
            .arg(&file);
        run(command, files.path()).await?.success()?;
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_file(file)?;
        let pair = RsaKeyPair::from_pkcs8(pkcs8.secret_pkcs8_der())?;
        let public: signature::RsaPublicKeyComponents<Vec<u8>> = pair.public().into();
        let jwk = json!({ "e": base64url(&public.e), "kty": "RSA", "n": base64url(&public.n) });
        Ok(Self { pair: Pair::Rsa(pair, encoding), algorithm, jwk })
    }

    /// The name of the algorithm it signs with.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The public key; its members stand in the order of RFC 7638 §3.2.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// What proves control of an identifier (RFC 8555 §8.1).
    pub fn key_authorization(&self, token: &str) -> String {
        let thumbprint = digest::digest(&digest::SHA256, self.jwk.to_string().as_bytes());
        format!("{token}.{}", base64url(thumbprint))
    }

    /// The TXT record that proves control of an identifier (RFC 8555 §8.4).
    pub fn txt_value(&self, token: &str) -> String {
        let key_authorization = self.key_authorization(token);
        base64url(digest::digest(&digest::SHA256, key_authorization.as_bytes()))
    }

    /// Signs a flattened JWS with any protected header and any payload.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, protected: &Value, payload: &[u8]) -> anyhow::Result<Value> {
        self.sign_text(&protected.to_string(), payload)
    }

    /// The same with the protected header as it is written, which need not be a JSON object.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign_text(&self, protected: &str, payload: &[u8]) -> anyhow::Result<Value> {
        let protected = base64url(protected);
        let payload = base64url(payload);
        let signature = self.signature(format!("{protected}.{payload}").as_bytes())?;
        Ok(json!({ "protected": protected, "payload": payload, "signature": base64url(signature) }))
    }

    fn signature(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        let random = SystemRandom::new();
        let failed = |_| anyhow!("the key cannot sign");
        Ok(match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).map_err(failed)?;
                signature
            }
        })
    }
}

/// Unpadded base64url.
pub(crate) fn base64url(octets: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}
