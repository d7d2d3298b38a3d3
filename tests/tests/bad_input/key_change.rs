//! Changes of keys that must not happen (RFC 8555 §7.3.5): every check, one after the other.

use acceptance::{AccountKey, RawClient, Scene};
use serde_json::{Value, json};

use crate::MALFORMED;

/// How often an account may change its key.
const MAX_KEY_CHANGES: usize = 1000;

/// The parts of a good change, for a test to spoil.
struct Change {
    protected: Value,
    payload: Value,
}

impl Change {
    fn of(client: &RawClient, new: &AccountKey) -> anyhow::Result<Self> {
        let url = client.url("keyChange")?;
        let protected = json!({ "alg": new.algorithm(), "jwk": new.jwk(), "url": url });
        let payload = json!({ "account": client.account()?, "oldKey": client.key().jwk() });
        Ok(Self { protected, payload })
    }

    fn signed(&self, new: &AccountKey) -> anyhow::Result<Value> {
        new.sign(&self.protected, self.payload.to_string().as_bytes())
    }
}

#[tokio::test]
async fn the_inner_jws_must_be_one_of_a_change() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene
        .unimpressed(async |scene| {
            let client = &scene.client;
            let new = AccountKey::p256()?;
            for payload in [json!({}), json!({ "protected": "", "payload": "", "signature": "" })] {
                client.post("keyChange", &payload).await?.refused(MALFORMED)?;
            }
            client.post_as_get("keyChange").await?.refused(MALFORMED)?;

            let nonce = json!(client.nonce().await?);
            let kid = json!(client.account()?);
            let changes: [(&str, Option<Value>); 6] = [
                ("nonce", Some(nonce)),
                ("kid", Some(kid)),
                ("jwk", None),
                ("url", None),
                ("crit", Some(json!(["exp"]))),
                ("alg", None),
            ];
            for (name, value) in changes {
                let mut change = Change::of(client, &new)?;
                match (value, change.protected.as_object_mut()) {
                    (Some(value), _) => change.protected[name] = value,
                    (None, Some(members)) => drop(members.remove(name)),
                    (None, None) => {}
                }
                let inner = change.signed(&new)?;
                client.post("keyChange", &inner).await?.refused(MALFORMED)?;
            }
            for name in ["account", "oldKey"] {
                let mut change = Change::of(client, &new)?;
                change.payload[name] = json!(7);
                client.post("keyChange", &change.signed(&new)?).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn inner_and_outer_jws_must_want_the_same() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |scene| {
            let client = &scene.client;
            let new = AccountKey::p256()?;
            let mut change = Change::of(client, &new)?;
            change.protected["url"] = json!(client.url("newAccount")?);
            client.post("keyChange", &change.signed(&new)?).await?.refused(MALFORMED)?;

            let mut change = Change::of(client, &new)?;
            change.payload["account"] = json!(stranger.account()?);
            client.post("keyChange", &change.signed(&new)?).await?.refused(MALFORMED)?;

            let mut change = Change::of(client, &new)?;
            change.payload["oldKey"] = stranger.key().jwk().clone();
            client.post("keyChange", &change.signed(&new)?).await?.refused(MALFORMED)?;

            // What somebody else's new key signed is worth nothing under another account.
            let theirs = Change::of(&stranger, &new)?.signed(&new)?;
            client.post("keyChange", &theirs).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_new_key_must_have_signed_and_be_acceptable() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene
        .unimpressed(async |scene| {
            let client = &scene.client;
            let (new, other) = (AccountKey::p256()?, AccountKey::p256()?);
            let forged = Change::of(client, &new)?.signed(&other)?;
            client.post("keyChange", &forged).await?.refused((400, "unauthorized"))?;

            let mut change = Change::of(client, &new)?;
            change.protected["alg"] = json!("HS256");
            let inner = change.signed(&new)?;
            client.post("keyChange", &inner).await?.refused((400, "badSignatureAlgorithm"))?;
            change.protected["alg"] = json!("RS256");
            let inner = change.signed(&new)?;
            client.post("keyChange", &inner).await?.refused((400, "badSignatureAlgorithm"))?;

            let mut change = Change::of(client, &new)?;
            change.protected["jwk"]["d"] = json!("AAAA");
            let inner = change.signed(&new)?;
            client.post("keyChange", &inner).await?.refused((400, "badPublicKey"))?;
            // 1024 bits.
            let weak = json!({ "kty": "RSA", "n": "_".repeat(171) + "w", "e": "AQAB" });
            let mut change = Change::of(client, &new)?;
            (change.protected["jwk"], change.protected["alg"]) = (weak, json!("RS256"));
            let inner = change.signed(&new)?;
            client.post("keyChange", &inner).await?.refused((400, "badPublicKey"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_key_that_no_new_account_may_have_takes_no_accounts_place() -> anyhow::Result<()> {
    let profile = r#"[{name="default", account_keys={types=["p256"]}}]"#;
    let mut scene = Scene::with(|setup| setup.set("profile", profile)).await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let compromised = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 1 });
    scene.client.post("revokeCert", &compromised).await?.expect(200)?;
    scene
        .unimpressed(async |scene| {
            for new in [AccountKey::p384()?, (&issued.key).try_into()?] {
                let inner = scene.client.key_change(&new)?;
                let reply = scene.client.post("keyChange", &inner).await?;
                reply.refused((400, "badPublicKey"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_key_of_an_account_is_told_with_that_account() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |scene| {
            let client = &scene.client;
            for owner in [client, &stranger] {
                let inner = client.key_change(owner.key())?;
                let reply = client.post("keyChange", &inner).await?;
                reply.refused((409, "malformed"))?;
                assert_eq!(reply.location()?, owner.account()?);
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_key_that_any_account_had_before_does_not_come_back() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let second = scene.client.change_key(AccountKey::p256()?).await?;
    let third = second.change_key(AccountKey::p256()?).await?;
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |scene| {
            for former in [&scene.client, &second] {
                for client in [&third, &stranger] {
                    let inner = client.key_change(former.key())?;
                    let reply = client.post("keyChange", &inner).await?;
                    reply.refused((400, "badPublicKey"))?;
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_key_that_comes_too_late_for_an_account_is_free_for_another() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let mut client = scene.client.change_key(AccountKey::p256()?).await?;
    for _ in 1..MAX_KEY_CHANGES {
        client = client.change_key(AccountKey::p256()?).await?;
    }
    let newcomer = scene.newcomer(AccountKey::p256()?).await?;
    scene
        .unimpressed(async |_| {
            for _ in 0..2 {
                let inner = client.key_change(newcomer.key())?;
                client.post("keyChange", &inner).await?.refused((403, "unauthorized"))?;
            }
            Ok(())
        })
        .await?;
    newcomer.post("newAccount", &json!({})).await?.expect(201)?;
    Ok(())
}
