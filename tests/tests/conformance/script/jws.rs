//! Requests whose JWS is bad (RFC 8555 §6.2, §6.4, §6.5).

use acceptance::AccountKey;
use http::Method;
use serde_json::{Value, json};

use super::Script;

type Change = fn(&mut Value);

/// Changes of the protected header, before it is signed.
const SIGNED: [(&str, Change); 16] = [
    ("alg none", |header| header["alg"] = json!("none")),
    ("alg HS256", |header| header["alg"] = json!("HS256")),
    ("alg RS256 of an EC key", |header| header["alg"] = json!("RS256")),
    ("alg ES512", |header| header["alg"] = json!("ES512")),
    ("alg unknown", |header| header["alg"] = json!("XX999")),
    ("no alg", |header| remove(header, "alg")),
    ("no nonce", |header| remove(header, "nonce")),
    ("a made-up nonce", |header| header["nonce"] = json!("bWFkZS11cA")),
    ("a nonce that is no base64url", |header| header["nonce"] = json!("not base64url!")),
    ("no url", |header| remove(header, "url")),
    ("another url", |header| header["url"] = json!("https://localhost/elsewhere")),
    ("neither kid nor jwk", |header| remove(header, "kid")),
    ("kid of no account", |header| {
        let kid = header["kid"].as_str().unwrap_or_default().to_owned();
        header["kid"] = json!(format!("{}0", kid));
    }),
    ("kid of another place", |header| header["kid"] = json!("https://localhost/account/1")),
    ("a critical extension", |header| header["crit"] = json!(["exp"])),
    ("an unencoded payload", |header| {
        header["b64"] = json!(false);
        header["crit"] = json!(["b64"]);
    }),
];

/// Changes of a good JWS, after it was signed.
const FROM_OUTSIDE: [(&str, Change); 7] = [
    ("an unprotected header", |jws| jws["header"] = json!({ "kid": "x" })),
    ("several signatures", |jws| {
        jws["signatures"] =
            json!([{ "protected": jws["protected"], "signature": jws["signature"] }]);
    }),
    ("a padded payload", |jws| append(jws, "payload", "=")),
    ("a padded protected header", |jws| append(jws, "protected", "=")),
    ("a padded signature", |jws| append(jws, "signature", "==")),
    ("a wrong signature", |jws| jws["signature"] = json!("A".repeat(86))),
    ("no signature", |jws| remove(jws, "signature")),
];

fn remove(object: &mut Value, member: &str) {
    object.as_object_mut().map(|members| members.remove(member));
}

fn append(object: &mut Value, member: &str, more: &str) {
    let text = object[member].as_str().unwrap_or_default().to_owned();
    object[member] = json!(text + more);
}

impl Script<'_> {
    pub(super) async fn jws(&mut self) -> anyhow::Result<()> {
        let url = self.client.url("newOrder")?;
        let payload = json!({ "identifiers": [{ "type": "dns", "value": "jws.example.com" }] });
        let payload = payload.to_string();
        for (name, change) in SIGNED {
            let mut protected = self.client.protected(&url).await?;
            change(&mut protected);
            let jws = self.client.key().sign(&protected, payload.as_bytes())?;
            let reply = self.client.send_jws(&url, &jws).await;
            self.note(name, reply)?;
        }
        for (name, change) in FROM_OUTSIDE {
            let protected = self.client.protected(&url).await?;
            let mut jws = self.client.key().sign(&protected, payload.as_bytes())?;
            change(&mut jws);
            let reply = self.client.send_jws(&url, &jws).await;
            self.note(name, reply)?;
        }
        self.bodies(&url).await?;
        self.keys(&url, payload.as_bytes()).await
    }

    /// Bodies and media types.
    async fn bodies(&mut self, url: &str) -> anyhow::Result<()> {
        for (name, payload) in [
            ("a payload that is no JSON", &b"identifiers"[..]),
            ("a payload that is an array", b"[]"),
            ("newOrder as POST-as-GET", b""),
        ] {
            let reply = self.client.post_bytes(url, payload).await;
            self.note(name, reply)?;
        }
        for (name, body) in [
            ("an empty body", &b""[..]),
            ("a body that is no JSON", b"jws"),
            ("a compact JWS", b"eyJhbGciOiJFUzI1NiJ9.e30.c2ln"),
        ] {
            let reply = self.client.send_body(url, body.to_vec()).await;
            self.note(name, reply)?;
        }
        for (name, media_type) in [
            ("the media type of JSON", "application/json"),
            ("a media type with a parameter", "application/jose+json; charset=utf-8"),
        ] {
            let protected = self.client.protected(url).await?;
            let jws = self.client.key().sign(&protected, b"{}")?.to_string().into_bytes();
            let reply = self.client.request(Method::POST, url, Some((media_type, jws))).await;
            self.note(name, reply)?;
        }
        Ok(())
    }

    /// Whose key it is, and requests that come again.
    async fn keys(&mut self, url: &str, payload: &[u8]) -> anyhow::Result<()> {
        let mut protected = self.client.protected(url).await?;
        protected["jwk"] = self.client.key().jwk().clone();
        let jws = self.client.key().sign(&protected, payload)?;
        let reply = self.client.send_jws(url, &jws).await;
        self.note("both kid and jwk", reply)?;

        remove(&mut protected, "kid");
        protected["nonce"] = json!(self.client.nonce().await?);
        let jws = self.client.key().sign(&protected, payload)?;
        let reply = self.client.send_jws(url, &jws).await;
        self.note("newOrder with a jwk", reply)?;
        let reply = self.client.send_jws(url, &jws).await;
        self.note("a request that comes again", reply)?;

        let new_account = self.client.url("newAccount")?;
        let mut protected = self.client.protected(&new_account).await?;
        remove(&mut protected, "jwk");
        protected["kid"] = json!(self.client.account()?);
        let jws = self.client.key().sign(&protected, b"{}")?;
        let reply = self.client.send_jws(&new_account, &jws).await;
        self.note("newAccount with a kid", reply)?;

        let protected = self.client.protected(url).await?;
        let jws = AccountKey::p256()?.sign(&protected, payload)?;
        let reply = self.client.send_jws(url, &jws).await;
        self.note("the signature of another key", reply)?;
        Ok(())
    }
}
