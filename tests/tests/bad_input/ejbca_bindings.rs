//! Bindings in EJBCA's form that must not bind: every check, one after the other.

use acceptance::{AccountKey, OperatorKey, RawClient, RegisteredKey, Scene};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::MALFORMED;

const NOT_ACCEPTED: acceptance::Refused = (403, "unauthorized");
const PROFILES: &str = r#"[{name="default"},
    {name="off", external_account_required=true},
    {name="other", external_account_required=true, external_account_compatibility="ejbca"},
    {name="on", external_account_required=true, external_account_compatibility="ejbca"}]"#;

async fn scene(operator: &OperatorKey) -> anyhow::Result<Scene> {
    let change = |setup| operator.configure(setup).set("profile", PROFILES.replace('\n', ""));
    Scene::with(|setup| change(setup).set("default_profile", "default")).await
}

async fn newcomer(scene: &Scene, profile: &str) -> anyhow::Result<RawClient> {
    let directory = scene.server.profile_url(profile);
    RawClient::connect(&directory, &scene.server.root(), AccountKey::p256()?).await
}

async fn key(scene: &Scene) -> anyhow::Result<RegisteredKey> {
    let on = ["--profile", "on", "--reusable"];
    RegisteredKey::public(&scene.server, KeyPair::generate()?, &on).await
}

async fn refused(
    client: &RawClient,
    binding: &Value,
    expected: acceptance::Refused,
) -> anyhow::Result<Value> {
    let payload = json!({ "externalAccountBinding": binding });
    client.post("newAccount", &payload).await?.refused(expected)
}

/// A binding with a header and a payload, signed by the account's key.
fn signed(client: &RawClient, header: &Value, payload: &Value) -> anyhow::Result<Value> {
    client.key().sign(header, payload.to_string().as_bytes())
}

#[tokio::test]
async fn a_binding_of_ejbca_is_refused_where_the_switch_is_off() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let mut scene = scene(&operator).await?;
    let key = key(&scene).await?;
    let off = ["--profile", "off"];
    let registered = RegisteredKey::public(&scene.server, KeyPair::generate()?, &off).await;
    let refusal = registered.err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(refusal.contains("external_account_compatibility"), "{refusal}");
    scene
        .unimpressed(async |scene| {
            let client = newcomer(scene, "off").await?;
            let binding = key.bind(&client.url("newAccount")?, client.key())?;
            refused(&client, &binding, MALFORMED).await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_registered_key_that_is_not_good_binds_nobody() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let mut scene = scene(&operator).await?;
    let good = key(&scene).await?;
    let disabled = key(&scene).await?;
    scene.server.operate(&["eab", "disable", disabled.kid()?]).await?.success()?;
    let expiring = ["--profile", "on", "--expires", "1ms"];
    let expired = RegisteredKey::public(&scene.server, KeyPair::generate()?, &expiring).await?;
    scene
        .unimpressed(async |scene| {
            let mut problems = Vec::new();
            for (key, profile) in [(&good, "other"), (&disabled, "on"), (&expired, "on")] {
                let client = newcomer(scene, profile).await?;
                let binding = key.bind(&client.url("newAccount")?, client.key())?;
                problems.push(refused(&client, &binding, NOT_ACCEPTED).await?);
            }
            assert!(problems.iter().all(|problem| *problem == problems[0]), "{problems:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn both_signatures_must_be_over_the_account_key() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let mut scene = scene(&operator).await?;
    let (key, another) = (key(&scene).await?, key(&scene).await?);
    scene
        .unimpressed(async |scene| {
            let client = newcomer(scene, "on").await?;
            let url = client.url("newAccount")?;
            let header = json!({ "alg": "HS256", "url": url });
            // Whoever sees a binding cannot bind a key of its own with it.
            let victim = AccountKey::p256()?;
            let seen = key.bind(&url, &victim)?;
            refused(&client, &seen, MALFORMED).await?;
            let mut payload = key.payload(client.key())?;
            payload["aks"] = key.payload(&victim)?["aks"].clone();
            refused(&client, &signed(&client, &header, &payload)?, NOT_ACCEPTED).await?;
            // The signature of another registered key, and one that was tampered with.
            payload["aks"] = another.payload(client.key())?["aks"].clone();
            refused(&client, &signed(&client, &header, &payload)?, NOT_ACCEPTED).await?;
            let mut payload = key.payload(client.key())?;
            let mut aks = payload["aks"].as_str().unwrap_or_default().to_owned();
            let other = if &aks[20..21] == "A" { "B" } else { "A" };
            aks.replace_range(20..21, other);
            payload["aks"] = json!(aks);
            refused(&client, &signed(&client, &header, &payload)?, NOT_ACCEPTED).await?;
            // The account's key must have signed the binding itself.
            let payload = key.payload(client.key())?;
            let forged = victim.sign(&header, payload.to_string().as_bytes())?;
            refused(&client, &forged, NOT_ACCEPTED).await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn bindings_of_ejbca_in_another_form_are_malformed() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let mut scene = scene(&operator).await?;
    let key = key(&scene).await?;
    scene
        .unimpressed(async |scene| {
            let client = newcomer(scene, "on").await?;
            let good = json!({ "alg": "HS256", "url": client.url("newAccount")? });
            let payload = key.payload(client.key())?;
            for (name, value) in [
                ("alg", json!("ES256")),
                ("alg", json!("HS384")),
                ("url", json!(client.url("newOrder")?)),
                ("nonce", json!("AAAA")),
                ("kid", json!(key.kid()?)),
                ("jwk", client.key().jwk().clone()),
                ("crit", json!(["exp"])),
            ] {
                let mut header = good.clone();
                header[name] = value;
                refused(&client, &signed(&client, &header, &payload)?, MALFORMED).await?;
            }
            for (name, value) in [
                ("key", json!("x")),
                ("cf", json!("ABC")),
                ("cf", json!(7)),
                ("aks", json!("=")),
                ("aks", json!(null)),
            ] {
                let mut payload = payload.clone();
                payload[name] = value;
                refused(&client, &signed(&client, &good, &payload)?, MALFORMED).await?;
            }
            // A MAC under a registered key, which has none.
            let header = json!({ "alg": "HS256", "url": good["url"], "kid": key.kid()? });
            let mac = signed(&client, &header, client.key().jwk())?;
            refused(&client, &mac, NOT_ACCEPTED).await?;
            Ok(())
        })
        .await
}
