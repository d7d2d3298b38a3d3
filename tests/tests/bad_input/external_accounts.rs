//! External account bindings that must not bind (RFC 8555 §7.3.4): every check, one after the other.

use acceptance::{AccountKey, ExternalKey, OperatorKey, RawClient, Scene};
use serde_json::{Value, json};

use crate::MALFORMED;

const NOT_ACCEPTED: acceptance::Refused = (403, "unauthorized");
const PROFILES: &str = r#"[{name="default"}, {name="strict", external_account_required=true}]"#;

async fn scene(operator: &OperatorKey) -> anyhow::Result<Scene> {
    let change = |setup| operator.configure(setup).set("profile", PROFILES);
    Scene::with(|setup| change(setup).set("default_profile", "default")).await
}

async fn newcomer(scene: &Scene) -> anyhow::Result<RawClient> {
    let directory = scene.server.profile_url("strict");
    RawClient::connect(&directory, &scene.server.root(), AccountKey::p256()?).await
}

fn good(client: &RawClient, key: &ExternalKey) -> anyhow::Result<Value> {
    Ok(key.protected("HS256", &client.url("newAccount")?))
}

async fn refused(
    client: &RawClient,
    binding: Value,
    expected: acceptance::Refused,
) -> anyhow::Result<Value> {
    let payload = json!({ "externalAccountBinding": binding });
    client.post("newAccount", &payload).await?.refused(expected)
}

#[tokio::test]
async fn an_account_without_a_binding_is_not_made() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    scene(&operator)
        .await?
        .unimpressed(async |scene| {
            let client = newcomer(scene).await?;
            for payload in [json!({}), json!({ "externalAccountBinding": null })] {
                let reply = client.post("newAccount", &payload).await?;
                reply.refused((403, "externalAccountRequired"))?;
            }
            let find = json!({ "onlyReturnExisting": true });
            client.post("newAccount", &find).await?.refused((400, "accountDoesNotExist"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn keys_that_are_not_good_are_all_refused_alike() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let mut scene = scene(&operator).await?;
    let strict = ["--profile", "strict"];
    let of = async |more: &[&str]| scene.server.external_key(&[&strict, more].concat()).await;
    let elsewhere = scene.server.external_key(&["--profile", "default"]).await?;
    let expired = of(&["--expires", "1ms"]).await?;
    let disabled = of(&[]).await?;
    scene.server.operate(&["eab", "disable", &disabled.kid]).await?.success()?;
    let used = of(&[]).await?;
    let owner = newcomer(&scene).await?;
    let binding = used.bind(&good(&owner, &used)?, owner.key())?;
    let payload = json!({ "externalAccountBinding": binding });
    owner.post("newAccount", &payload).await?.expect(201)?;
    let real = of(&[]).await?;
    let unknown = ExternalKey { kid: "A".repeat(22), hmac_key: real.hmac_key.clone() };
    let odd = ExternalKey { kid: "../etc".to_owned(), hmac_key: real.hmac_key.clone() };
    let forged = ExternalKey { kid: real.kid.clone(), hmac_key: unknown.kid.clone() };
    scene
        .unimpressed(async |scene| {
            let mut problems = Vec::new();
            for key in [elsewhere, expired, disabled, used, unknown, odd, forged] {
                let client = newcomer(scene).await?;
                let binding = key.bind(&good(&client, &key)?, client.key())?;
                problems.push(refused(&client, binding, NOT_ACCEPTED).await?);
            }
            assert!(problems.iter().all(|problem| *problem == problems[0]), "{problems:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_binding_is_for_this_url_and_this_account_key() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let mut scene = scene(&operator).await?;
    let key = scene.server.external_key(&["--profile", "strict"]).await?;
    scene
        .unimpressed(async |scene| {
            let client = newcomer(scene).await?;
            let mut protected = good(&client, &key)?;
            protected["url"] = json!(client.url("newOrder")?);
            refused(&client, key.bind(&protected, client.key())?, MALFORMED).await?;
            // Whoever sees a binding cannot bind a key of its own with it.
            let other = AccountKey::p256()?;
            let theirs = key.bind(&good(&client, &key)?, &other)?;
            refused(&client, theirs, MALFORMED).await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn bindings_in_another_form_are_malformed() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let mut scene = scene(&operator).await?;
    let key = scene.server.external_key(&["--profile", "strict"]).await?;
    scene
        .unimpressed(async |scene| {
            let client = newcomer(scene).await?;
            let spoiled = [
                ("nonce", json!("AAAA")),
                ("alg", json!("ES256")),
                ("alg", json!("none")),
                ("alg", json!(7)),
                ("kid", json!(null)),
                ("kid", json!("k".repeat(1000))),
                ("jwk", client.key().jwk().clone()),
                ("crit", json!(["exp"])),
            ];
            for (name, value) in spoiled {
                let mut protected = good(&client, &key)?;
                protected[name] = value;
                refused(&client, key.bind(&protected, client.key())?, MALFORMED).await?;
            }
            for binding in [json!({}), json!([]), json!("x"), json!({ "protected": "e30" })] {
                refused(&client, binding, MALFORMED).await?;
            }
            Ok(())
        })
        .await
}
