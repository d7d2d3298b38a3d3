//! Changes of an account's key (RFC 8555 §7.3.5).

use acceptance::{AccountKey, RawClient};
use serde_json::{Value, json};

use super::Script;

type Change = fn(&mut Value, &mut Value);

/// Changes of the inner header and payload.
const CHANGES: [(&str, Change); 7] = [
    ("keyChange of another account", |_, change| change["account"] = json!("https://localhost/1")),
    ("keyChange from another key", |header, change| change["oldKey"] = header["jwk"].clone()),
    ("keyChange without the account", |_, change| change["account"] = Value::Null),
    ("keyChange without the old key", |_, change| change["oldKey"] = Value::Null),
    ("keyChange with another inner url", |header, _| header["url"] = json!("https://localhost/x")),
    ("keyChange without an inner url", |header, _| {
        header.as_object_mut().map(|members| members.remove("url"));
    }),
    ("keyChange without an inner jwk", |header, _| {
        header.as_object_mut().map(|members| members.remove("jwk"));
    }),
];

impl Script<'_> {
    pub(super) async fn key_change(&mut self) -> anyhow::Result<()> {
        let client = self.stranger().await?;
        for (name, change) in CHANGES {
            let new = AccountKey::p256()?;
            let (mut header, mut payload) = good(&client, &new)?;
            change(&mut header, &mut payload);
            let inner = new.sign(&header, payload.to_string().as_bytes())?;
            let reply = client.post("keyChange", &inner).await;
            self.note(name, reply)?;
        }
        let reply = client.post("keyChange", &json!({})).await;
        self.note("keyChange to nothing", reply)?;
        let (header, payload) = good(&client, &AccountKey::p256()?)?;
        let forged = AccountKey::p256()?.sign(&header, payload.to_string().as_bytes())?;
        let reply = client.post("keyChange", &forged).await;
        self.note("keyChange that the new key did not sign", reply)?;
        let reply = client.post("keyChange", &client.key_change(client.key())?).await;
        self.note("keyChange to the same key", reply)?;
        let reply = client.post("keyChange", &client.key_change(self.client.key())?).await;
        self.note("keyChange to the key of another account", reply)?;

        let new = AccountKey::p256()?;
        let reply = client.post("keyChange", &client.key_change(&new)?).await;
        self.note("keyChange", reply)?;
        let url = client.account()?.to_owned();
        let reply = client.post_as_get(&url).await;
        self.note("a request with the former key", reply)?;
        let reply = client.with_key(new).post_as_get(&url).await;
        self.note("a request with the new key", reply)?;

        // With an account of its own: Pebble changes the key.
        let client = self.stranger().await?;
        let new = AccountKey::p256()?;
        let (mut header, payload) = good(&client, &new)?;
        header["nonce"] = json!("bm9uY2U");
        let inner = new.sign(&header, payload.to_string().as_bytes())?;
        let reply = client.post("keyChange", &inner).await;
        self.note("keyChange with an inner nonce", reply)?;
        Ok(())
    }
}

/// The inner header and payload of a good change.
fn good(client: &RawClient, new: &AccountKey) -> anyhow::Result<(Value, Value)> {
    let url = client.url("keyChange")?;
    let header = json!({ "alg": new.algorithm(), "jwk": new.jwk(), "url": url });
    Ok((header, json!({ "account": client.account()?, "oldKey": client.key().jwk() })))
}
