//! Several profiles behind one server: each under its own URLs, strangers to each other.

use acceptance::{AccountKey, RawClient, Scene, Setup, csr};
use http::Method;
use serde_json::json;

const PROFILES: &str = r#"[{name="default"}, {name="short", certificate_validity="1d"}]"#;

async fn scene() -> anyhow::Result<Scene> {
    Scene::with(|setup| setup.set("profile", PROFILES).set("default_profile", "default")).await
}

async fn member_of(scene: &Scene, profile: &str) -> anyhow::Result<RawClient> {
    RawClient::register(&scene.server.profile_url(profile), &scene.server.root()).await
}

#[tokio::test]
async fn every_form_of_the_directory_has_the_urls_of_its_profile() -> anyhow::Result<()> {
    let scene = scene().await?;
    let origin = scene.server.directory_url().replace("/directory", "");
    let forms = [
        ("directory", "default"),
        ("default/directory", "default"),
        ("raProfile/default/directory", "default"),
        ("directory?configurationId=default", "default"),
        ("short/directory", "short"),
        ("raProfile/short/directory", "short"),
        ("directory?configurationId=short", "short"),
    ];
    for (form, profile) in forms {
        let url = format!("{origin}/{form}");
        let directory = scene.client.request(Method::GET, &url, None).await?.expect(200)?.json()?;
        assert_eq!(directory["newOrder"], format!("{origin}/{profile}/new-order"), "{form}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_profile_issues_by_its_own_rules() -> anyhow::Result<()> {
    let scene = scene().await?;
    let member = member_of(&scene, "short").await?;
    let issued = member.issue(&["a.localhost"], &scene.web).await?;
    assert!(issued.order.url.contains("/acme/short/order/"), "{}", issued.order.url);
    let two_days = std::time::Duration::from_hours(2 * 24);
    assert!(issued.chain.validity()? < two_days, "{:?}", issued.chain.validity()?);
    Ok(())
}

#[tokio::test]
async fn one_key_has_an_account_of_its_own_in_each_profile() -> anyhow::Result<()> {
    let scene = scene().await?;
    let root = scene.server.root();
    let key = rcgen::KeyPair::generate()?;
    let mut accounts = Vec::new();
    for profile in ["default", "short"] {
        let key = AccountKey::try_from(&key)?;
        let client = RawClient::connect(&scene.server.profile_url(profile), &root, key).await?;
        accounts.push(client.post("newAccount", &json!({})).await?.expect(201)?.location()?);
    }
    assert_ne!(accounts[0].rsplit('/').next(), accounts[1].rsplit('/').next());
    Ok(())
}

#[tokio::test]
async fn the_accounts_and_orders_of_one_profile_do_not_exist_in_another() -> anyhow::Result<()> {
    let mut scene = scene().await?;
    let member = member_of(&scene, "short").await?;
    let order = member.ready_order(&["a.localhost"], &scene.web).await?;
    let issued = scene.client.issue(&["b.localhost"], &scene.web).await?;
    scene
        .unimpressed(async |scene| {
            // The account of one profile, in the URLs of the other.
            let url = scene.client.url("newOrder")?;
            let mut protected = member.protected(&url).await?;
            protected["nonce"] = json!(scene.client.nonce().await?);
            let payload = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
            let payload = payload.to_string();
            let jws = member.key().sign(&protected, payload.as_bytes())?;
            member.send_jws(&url, &jws).await?.refused((400, "accountDoesNotExist"))?;
            protected["kid"] = json!(member.account()?.replace("/short/", "/default/"));
            protected["nonce"] = json!(scene.client.nonce().await?);
            let jws = member.key().sign(&protected, payload.as_bytes())?;
            member.send_jws(&url, &jws).await?.refused((400, "accountDoesNotExist"))?;

            // What the other profile answered came with its nonces.
            member.forget_nonces();

            // The order of one profile, under the URLs of the other, for whoever asks.
            let elsewhere = |url: &str| url.replace("/acme/short/", "/acme/default/");
            let finalize = json!({ "csr": csr(&["a.localhost"])?.1 });
            scene.client.post_as_get(&elsewhere(&order.url)).await?.refused((404, "malformed"))?;
            let url = elsewhere(&order.finalize()?);
            scene.client.post(&url, &finalize).await?.refused((404, "malformed"))?;
            let url = elsewhere(&order.authorizations()[0]);
            scene.client.post_as_get(&url).await?.refused((404, "malformed"))?;
            let url = issued.order.certificate()?.replace("/acme/default/", "/acme/short/");
            member.post_as_get(&url).await?.refused((404, "malformed"))?;

            // A certificate of one profile, revoked through the other.
            let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
            member.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn another_default_profile_asks_its_clients_to_register_and_leaves_them_what_they_have()
-> anyhow::Result<()> {
    let mut scene = scene().await?;
    let key = rcgen::KeyPair::generate()?;
    let before = scene.newcomer(AccountKey::try_from(&key)?).await?.with_account().await?;
    let issued = before.issue(&["a.localhost"], &scene.web).await?;
    scene.server.stop().await?;
    scene.server.configure("default_profile", "short");
    scene.server.start().await?;
    before.forget_nonces();

    // The client comes again with its account and what the directory says now.
    let now = scene.newcomer(AccountKey::try_from(&key)?).await?;
    let returned = now.with_account_at(before.account()?.to_owned());
    let payload = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
    let problem = returned.post("newOrder", &payload).await?;
    let problem = problem.refused((400, "accountDoesNotExist"))?;
    let told = "kid is no account URL of this profile: register with the directory that is used";
    assert_eq!(problem["detail"], told);
    let revocation = json!({ "certificate": issued.chain.leaf_base64url()? });
    returned.post("revokeCert", &revocation).await?.refused((400, "accountDoesNotExist"))?;

    // Registered anew it gets certificates, and does not have the former ones.
    let member = scene.newcomer(AccountKey::try_from(&key)?).await?.with_account().await?;
    assert!(member.account()?.contains("/acme/short/account/"), "{}", member.account()?);
    member.issue(&["a.localhost"], &scene.web).await?;
    member.post("revokeCert", &revocation).await?.refused((403, "unauthorized"))?;

    // Whoever stays at the profile's own directory notices nothing.
    before.download(&issued.order).await?;
    before.issue(&["a.localhost"], &scene.web).await?;
    before.post("revokeCert", &revocation).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_nonce_of_one_profile_is_not_good_in_another() -> anyhow::Result<()> {
    let mut scene = scene().await?;
    let member = member_of(&scene, "short").await?;
    scene
        .unimpressed(async |scene| {
            let url = scene.client.url("newOrder")?;
            let mut protected = scene.client.protected(&url).await?;
            protected["nonce"] = json!(member.nonce().await?);
            let jws = scene.client.key().sign(&protected, b"{}")?;
            scene.client.send_jws(&url, &jws).await?.refused((400, "badNonce"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_is_not_there_leads_back_to_its_own_profile() -> anyhow::Result<()> {
    let mut scene = scene().await?;
    let member = member_of(&scene, "short").await?;
    scene
        .unimpressed(async |scene| {
            let absent = member.url("newOrder")?.replace("new-order", "nothing");
            let reply = member.post(&absent, &json!({})).await?;
            reply.refused((404, "malformed"))?;
            assert_eq!(reply.links("index"), [scene.server.profile_url("short")]);
            // The nonce that came along is good where the client was.
            member.post("newAccount", &json!({})).await?.expect(200)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_only_profile_there_is_is_the_default_whatever_its_name() -> anyhow::Result<()> {
    // The longest name there can be, of every kind of character.
    let name = format!("Aa0-_{}", "x".repeat(245));
    let profile = format!("[{{name={name:?}}}]");
    let scene = Scene::with(|setup| setup.set("profile", profile)).await?;
    let origin = scene.server.directory_url().replace("/directory", "");
    assert_eq!(scene.client.url("newOrder")?, format!("{origin}/{name}/new-order"));
    for other in [name.to_lowercase(), format!("{name}x"), name[1..].to_owned()] {
        let url = scene.server.profile_url(&other);
        assert_eq!(scene.client.request(Method::GET, &url, None).await?.status, 404, "{other}");
    }
    scene.client.issue(&["a.localhost"], &scene.web).await?;
    Ok(())
}

#[tokio::test]
async fn a_name_that_no_profile_can_have_is_refused_at_the_start() -> anyhow::Result<()> {
    for name in ["", "a b", "a/b", "ä", "directory", "raProfile", &"x".repeat(251)] {
        let server =
            Setup::embedded().set("profile", format!("[{{name={name:?}}}]")).prepare("misnamed")?;
        let refused = server.operate(&["check-config"]).await?;
        assert!(!refused.status.success(), "{name}");
        assert!(refused.stderr.contains("not a valid profile name"), "{}", refused.stderr);
    }
    Ok(())
}
