//! Keys for external account binding, as an operator hands them to clients (RFC 8555 §7.3.4).

use std::path::Path;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{AccountKey, Certmill, Setup, account_key::base64url};

/// A key that binds accounts.
pub struct ExternalKey {
    /// Its id.
    pub kid: String,
    /// Its secret in unpadded base64url, as clients take it.
    pub hmac_key: String,
}

/// The file of the key under which a server keeps such keys; gone when dropped.
pub struct OperatorKey(NamedTempFile);

impl OperatorKey {
    /// Makes one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new() -> anyhow::Result<Self> {
        let (file, mut key) = (NamedTempFile::new()?, [0; 32]);
        SystemRandom::new().fill(&mut key)?;
        std::fs::write(file.path(), BASE64_STANDARD.encode(key) + "\n")?;
        Ok(Self(file))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Configures a server with it.
    #[must_use]
    pub fn configure(&self, setup: Setup) -> Setup {
        setup.set("external_accounts.key_file", self.0.path().display())
    }
}

impl Certmill {
    /// Makes a key with more arguments for `certmill eab create`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn external_key(&self, arguments: &[&str]) -> anyhow::Result<ExternalKey> {
        let command = [&["eab", "create", "--json"], arguments].concat();
        let made: Value = serde_json::from_str(&self.operate(&command).await?.success()?)?;
        let text = |name: &str| made[name].as_str().map(str::to_owned).context("not in the output");
        Ok(ExternalKey { kid: text("kid")?, hmac_key: text("hmac_key")? })
    }
}

impl ExternalKey {
    /// The header of a good binding.
    pub fn protected(&self, algorithm: &str, url: &str) -> Value {
        json!({ "alg": algorithm, "kid": self.kid, "url": url })
    }

    /// Binds an account's key.
    ///
    /// # Errors
    /// When the secret is no base64url.
    pub fn bind(&self, protected: &Value, key: &AccountKey) -> anyhow::Result<Value> {
        let algorithm = match protected["alg"].as_str() {
            Some("HS384") => hmac::HMAC_SHA384,
            Some("HS512") => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let secret = BASE64_URL_SAFE_NO_PAD.decode(&self.hmac_key)?;
        let protected = base64url(protected.to_string());
        let payload = base64url(key.jwk().to_string());
        let mac = hmac::sign(
            &hmac::Key::new(algorithm, &secret),
            format!("{protected}.{payload}").as_bytes(),
        );
        Ok(json!({ "protected": protected, "payload": payload, "signature": base64url(mac) }))
    }
}
