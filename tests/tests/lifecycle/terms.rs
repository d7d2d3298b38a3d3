//! Terms of service that change (RFC 8555 §7.3.3).

use acceptance::{AccountKey, Certmill, RawClient, Setup};
use serde_json::json;

const OLD: &str = "https://ca.example.com/terms/1";
const NEW: &str = "https://ca.example.com/terms/2";
const CHANGE: &str = "https://ca.example.com/changed";

fn profile(terms: &str, more: &str) -> String {
    format!(
        r#"[{{name="default", terms_of_service="{terms}", terms_required=true,
            terms_approval_required=true{more}}}]"#
    )
}

/// A server whose terms changed after an account had agreed to the old ones.
async fn after_a_change(more: &str) -> anyhow::Result<(Certmill, RawClient)> {
    let mut server = Setup::embedded().set("profile", profile(OLD, "")).start().await?;
    let client = RawClient::register(&server.directory_url(), &server.root()).await?;
    client.place(&["a.localhost"]).await?;
    server.stop().await?;
    server.configure("profile", profile(NEW, more));
    server.start().await?;
    client.forget_nonces();
    Ok((server, client))
}

async fn is_refused(client: &RawClient, instance: &str) -> anyhow::Result<()> {
    let order = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
    let reply = client.post("newOrder", &order).await?;
    let problem = reply.refused((403, "userActionRequired"))?;
    assert_eq!(problem["instance"], instance);
    assert_eq!(reply.links("terms-of-service"), [NEW]);
    Ok(())
}

#[tokio::test]
async fn an_account_that_agreed_to_other_terms_orders_nothing() -> anyhow::Result<()> {
    let more = format!(r#", terms_change_url="{CHANGE}""#);
    let (_server, client) = after_a_change(&more).await?;
    is_refused(&client, CHANGE).await?;
    let account = client.account()?;
    let shown = client.post_as_get(account).await?.expect(200)?.json()?;
    assert_eq!(shown["termsOfServiceAgreed"], false);

    // The account says so in vain where its profile does not take that for an agreement (RFC 8555 §7.3.2).
    client.post(account, &json!({ "termsOfServiceAgreed": true })).await?.expect(200)?;
    is_refused(&client, CHANGE).await?;
    // Everything else goes on.
    let renewed = client.change_key(AccountKey::p256()?).await?;
    renewed.post(account, &json!({ "status": "deactivated" })).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_account_agrees_again_by_itself_where_that_is_allowed() -> anyhow::Result<()> {
    let (_server, client) = after_a_change(", terms_agreed_by_account=true").await?;
    is_refused(&client, NEW).await?;
    let account = client.account()?;
    client.post(account, &json!({ "termsOfServiceAgreed": false })).await?.expect(200)?;
    is_refused(&client, NEW).await?;
    let contact = json!(["mailto:a@example.com"]);
    let update = json!({ "termsOfServiceAgreed": true, "contact": contact });
    let updated = client.post(account, &update).await?.expect(200)?.json()?;
    assert_eq!(updated["termsOfServiceAgreed"], true);
    assert_eq!(updated["contact"], contact);
    client.place(&["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn an_operator_records_that_an_account_agreed() -> anyhow::Result<()> {
    let (server, client) = after_a_change("").await?;
    is_refused(&client, NEW).await?;
    let account = client.account()?;
    server.operate(&["account", "agree", account]).await?.success()?;
    let shown = server.operate(&["account", "show", account]).await?.success()?;
    assert!(shown.contains(&format!(" agreed {NEW}")) && !shown.contains("not agreed"), "{shown}");
    client.place(&["a.localhost"]).await?;
    let events = server.events().await?;
    let agreed = events.iter().filter(|event| event.to_string().contains("AccountTermsAgreed"));
    assert_eq!(agreed.count(), 2, "one when the account was made, one by the operator");
    Ok(())
}

#[tokio::test]
async fn an_operator_records_the_terms_of_the_accounts_own_profile() -> anyhow::Result<()> {
    let profiles = format!(
        r#"[{{name="default", terms_of_service="{OLD}"}},
            {{name="strict", terms_of_service="{NEW}", terms_approval_required=true}}]"#
    );
    let setup = Setup::embedded().set("profile", profiles).set("default_profile", "default");
    let server = setup.start().await?;
    let directory = server.profile_url("strict");
    let client = RawClient::connect(&directory, &server.root(), AccountKey::p256()?).await?;
    let account = client.post("newAccount", &json!({})).await?.expect(201)?.location()?;
    let shown = server.operate(&["account", "show", &account]).await?.success()?;
    assert!(shown.contains("not agreed"), "{shown}");
    server.operate(&["account", "agree", &account]).await?.success()?;
    client.with_account_at(account).place(&["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn changed_terms_hurt_nobody_where_no_approval_is_required() -> anyhow::Result<()> {
    let profile = |terms| format!(r#"[{{name="default", terms_of_service="{terms}"}}]"#);
    let mut server = Setup::embedded().set("profile", profile(OLD)).start().await?;
    let client = RawClient::register(&server.directory_url(), &server.root()).await?;
    server.stop().await?;
    server.configure("profile", profile(NEW));
    server.start().await?;
    client.forget_nonces();
    client.place(&["a.localhost"]).await?;
    let shown = client.post_as_get(client.account()?).await?.expect(200)?.json()?;
    assert_eq!(shown["termsOfServiceAgreed"], true, "it agreed once");
    // Nor does anybody have to agree to any.
    let (directory, root) = (server.directory_url(), server.root());
    let silent = RawClient::connect(&directory, &root, AccountKey::p256()?).await?;
    let made = silent.post("newAccount", &json!({})).await?.expect(201)?;
    assert_eq!(made.json()?["termsOfServiceAgreed"], false);
    silent.with_account_at(made.location()?).place(&["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn an_account_that_agreed_to_nothing_orders_nothing_where_approval_is_required()
-> anyhow::Result<()> {
    let profile =
        format!(r#"[{{name="default", terms_of_service="{NEW}", terms_approval_required=true}}]"#);
    let server = Setup::embedded().set("profile", profile).start().await?;
    let (directory, root) = (server.directory_url(), server.root());
    let client = RawClient::connect(&directory, &root, AccountKey::p256()?).await?;
    let made = client.post("newAccount", &json!({})).await?.expect(201)?;
    assert_eq!(made.json()?["termsOfServiceAgreed"], false);
    is_refused(&client.with_account_at(made.location()?), NEW).await
}
