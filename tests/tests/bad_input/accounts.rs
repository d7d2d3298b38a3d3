//! Accounts that cannot be made, found or changed as asked (RFC 8555 §7.3).

use acceptance::{AccountKey, Scene};
use serde_json::json;

use crate::MALFORMED;

const TERMS: &str = "https://ca.example.com/terms";

#[tokio::test]
async fn an_account_that_should_exist_but_does_not_is_not_made() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = scene.newcomer(AccountKey::p256()?).await?;
            let payload =
                json!({ "onlyReturnExisting": true, "contact": ["mailto:a@example.com"] });
            let reply = client.post("newAccount", &payload).await?;
            reply.refused((400, "accountDoesNotExist"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn contacts_that_cannot_be_used_are_refused() -> anyhow::Result<()> {
    let unsupported = ["tel:+123", "https://example.com", "admin@example.com", ""];
    let invalid = [
        "mailto:",
        "mailto:a",
        "mailto:a@localhost",
        "mailto:a@example.com,b@example.com",
        "mailto:a@example.com?subject=x",
        "mailto:a@example.com\r\nBcc: b@example.com",
        "mailto:<script>@example.com",
    ];
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let newcomer = scene.newcomer(AccountKey::p256()?).await?;
            for (contacts, kind) in
                [(&unsupported[..], "unsupportedContact"), (&invalid[..], "invalidContact")]
            {
                for contact in contacts {
                    let payload = json!({ "contact": [contact] });
                    let reply = newcomer.post("newAccount", &payload).await?;
                    let problem = reply.refused((400, kind))?;
                    // Which ones can be used (RFC 8555 §7.3).
                    let detail = problem["detail"].as_str().unwrap_or_default();
                    assert!(detail.contains("must be mailto"), "{detail}");
                    let account = scene.client.account()?;
                    scene.client.post(account, &payload).await?.refused((400, kind))?;
                }
            }
            let many = json!({ "contact": vec!["mailto:a@example.com"; 50] });
            newcomer.post("newAccount", &many).await?.refused((400, "invalidContact"))?;
            let no_list = json!({ "contact": "mailto:a@example.com" });
            newcomer.post("newAccount", &no_list).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn terms_that_must_be_agreed_to_are_named_to_whoever_does_not() -> anyhow::Result<()> {
    let profile =
        format!(r#"[{{name="default", terms_of_service="{TERMS}", terms_required=true}}]"#);
    Scene::with(|setup| setup.set("profile", profile))
        .await?
        .unimpressed(async |scene| {
            let client = scene.newcomer(AccountKey::p256()?).await?;
            for payload in [json!({}), json!({ "termsOfServiceAgreed": false })] {
                let reply = client.post("newAccount", &payload).await?;
                reply.refused((403, "userActionRequired"))?;
                assert_eq!(reply.links("terms-of-service"), [TERMS]);
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_deactivated_account_can_do_nothing() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    let account = scene.client.account()?.to_owned();
    scene.client.post(&account, &json!({ "status": "deactivated" })).await?.expect(200)?;
    scene
        .unimpressed(async |scene| {
            let client = &scene.client;
            let refused = (401, "unauthorized");
            client.post_as_get(&account).await?.refused(refused)?;
            client.post(&account, &json!({ "status": "valid" })).await?.refused(refused)?;
            client.post_as_get(&order.url).await?.refused(refused)?;
            let new_order = json!({ "identifiers": [{ "type": "dns", "value": "b.localhost" }] });
            client.post("newOrder", &new_order).await?.refused(refused)?;
            client.post("newAccount", &json!({})).await?.refused(refused)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_orders_of_an_account_are_shown_to_nobody_else() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let stranger = scene.stranger().await?;
    scene.client.place(&["a.localhost"]).await?;
    scene
        .unimpressed(async |scene| {
            let orders = format!("{}/orders", scene.client.account()?);
            stranger.post_as_get(&orders).await?.refused((403, "unauthorized"))?;
            let (accounts, id) = scene.client.account()?.rsplit_once('/').unwrap_or_default();
            let absent: String = id.chars().rev().collect();
            let absent = format!("{accounts}/{absent}/orders");
            stranger.post_as_get(&absent).await?.refused((403, "unauthorized"))?;
            scene.client.post(&orders, &json!({})).await?.refused(MALFORMED)?;
            for page in ["?cursor=", "?cursor=a%20b", "?page=2", "?2", "?cursor=1&cursor=2"] {
                scene.client.post_as_get(&format!("{orders}{page}")).await?.refused(MALFORMED)?;
            }
            let long = format!("{orders}?cursor={}", "1".repeat(65));
            scene.client.post_as_get(&long).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}
