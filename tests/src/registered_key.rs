//! Public keys that an operator registers for external account binding in EJBCA's form.

use anyhow::Context as _;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, SigningKey as _};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::{AccountKey, Certmill, account_key::base64url};

/// A key of another system, whose public half or certificate is registered.
pub struct RegisteredKey {
    pair: KeyPair,
    file: Pem,
    /// What the command printed.
    pub printed: Value,
}

/// What is handed to the operator.
struct Pem {
    dir: TempDir,
    flag: &'static str,
    fingerprint: String,
}

impl RegisteredKey {
    /// Registers the public half of a key with more arguments for `certmill eab register`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn public(server: &Certmill, pair: KeyPair, more: &[&str]) -> anyhow::Result<Self> {
        let file =
            Pem::new("--public-key", &pair.public_key_pem(), &pair.subject_public_key_info())?;
        Self::register(server, (pair, file), more).await
    }

    /// Registers a certificate for a key that ends at a time.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn certificate(
        server: &Certmill,
        pair: KeyPair,
        not_after: OffsetDateTime,
    ) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.not_before = not_after - time::Duration::days(10);
        params.not_after = not_after;
        let certificate = params.self_signed(&pair)?;
        let file = Pem::new("--certificate", &certificate.pem(), certificate.der())?;
        Self::register(server, (pair, file), &["--reusable"]).await
    }

    async fn register(
        server: &Certmill,
        (pair, file): (KeyPair, Pem),
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let mut key = Self { pair, file, printed: Value::Null };
        key.register_again(server, more).await?;
        Ok(key)
    }

    /// Registers it once more.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn register_again(&mut self, server: &Certmill, more: &[&str]) -> anyhow::Result<()> {
        let path = self.file.dir.path().join("key.pem").display().to_string();
        let command = [&["eab", "register", "--json", self.file.flag, &path], more].concat();
        self.printed = serde_json::from_str(&server.operate(&command).await?.success()?)?;
        Ok(())
    }

    /// The id that operators know it by.
    ///
    /// # Errors
    /// When none was printed.
    pub fn kid(&self) -> anyhow::Result<&str> {
        self.printed["kid"].as_str().context("no kid")
    }

    /// The payload of a good binding of an account's key.
    ///
    /// # Errors
    /// When the key signs nothing.
    pub fn payload(&self, key: &AccountKey) -> anyhow::Result<Value> {
        let signature = self.pair.sign(key.jwk().to_string().as_bytes())?;
        let aks = base64url(signature);
        Ok(json!({ "key": key.jwk(), "cf": self.file.fingerprint, "aks": aks }))
    }

    /// Binds an account's key, which signs the binding although its header says otherwise.
    ///
    /// # Errors
    /// When a key signs nothing.
    pub fn bind(&self, url: &str, key: &AccountKey) -> anyhow::Result<Value> {
        key.sign(&json!({ "alg": "HS256", "url": url }), self.payload(key)?.to_string().as_bytes())
    }
}

impl Pem {
    fn new(flag: &'static str, pem: &str, der: &[u8]) -> anyhow::Result<Self> {
        let dir = TempDir::new()?;
        std::fs::write(dir.path().join("key.pem"), pem)?;
        let octets = digest(&SHA256, der);
        let fingerprint = octets.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        Ok(Self { dir, flag, fingerprint })
    }
}
