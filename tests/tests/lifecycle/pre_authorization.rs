//! Identifiers that are proven before they are ordered (RFC 8555 §7.4.1).

use std::{collections::HashSet, slice, time::Duration};

use acceptance::{DnsServer, RawClient, Scene, Setup, csr, eventually, verify};
use anyhow::Context as _;
use futures::future::try_join_all;
use serde_json::{Value, json};

const NAME: &str = "a.localhost";
const ALLOWED: &str = r#"[{name="default", pre_authorization_allowed=true}]"#;
const TWO: &str = r#"[{name="default", pre_authorization_allowed=true, identifier_types=["dns", "ip"]},
    {name="other", pre_authorization_allowed=true}]"#;
/// How long an authorization is waited for whose time is nearly over.
const EXPIRY_LIMIT: Duration = Duration::from_secs(30);
/// How many ask for one authorization at the same time: more than are listed.
const AT_ONCE: usize = 8;

async fn scene() -> anyhow::Result<Scene> {
    scene_with(|setup| setup).await
}

async fn scene_with(change: impl FnOnce(Setup) -> Setup) -> anyhow::Result<Scene> {
    Scene::with(|setup| change(setup.set("profile", ALLOWED))).await
}

fn deactivation() -> Value {
    json!({ "status": "deactivated" })
}

/// Reads an authorization.
async fn read(client: &RawClient, url: &str) -> anyhow::Result<Value> {
    client.post_as_get(url).await?.expect(200)?.json()
}

#[tokio::test]
async fn the_directory_says_where_identifiers_are_proven_before_an_order() -> anyhow::Result<()> {
    let scene = scene().await?;
    let url = scene.client.url("newAuthz")?;
    let identifier = json!({ "type": "dns", "value": "A.localhost" });
    let reply = scene.client.post(&url, &json!({ "identifier": identifier })).await?.expect(201)?;
    let shown = reply.json()?;
    assert_eq!((&shown["status"], &shown["identifier"]), (&json!("pending"), &identifier));
    assert!(shown["expires"].is_string() && shown.get("wildcard").is_none(), "{shown}");
    let types = shown["challenges"].as_array().into_iter().flatten().map(|it| &it["type"]);
    assert_eq!(types.collect::<Vec<_>>(), ["http-01", "dns-01", "tls-alpn-01"]);
    assert_eq!(read(&scene.client, &reply.location()?).await?, shown);
    Ok(())
}

#[tokio::test]
async fn an_order_for_a_proven_name_is_ready_at_once_and_its_story_is_told() -> anyhow::Result<()> {
    let scene = scene().await?;
    let authorization = scene.client.prove_before(NAME, &scene.web).await?;
    let order = scene.client.place(&["A.LocalHost"]).await?;
    assert_eq!(order.status(), "ready");
    assert_eq!(order.authorizations(), slice::from_ref(&authorization));
    assert_eq!(order.body["identifiers"], json!([{ "type": "dns", "value": "A.LocalHost" }]));
    let issued = scene.client.finalize(&order, &[NAME]).await?;
    verify(&issued.chain, &scene.server.root()).await?;
    assert_eq!(issued.order.authorizations(), slice::from_ref(&authorization));
    // What is issued stays so, whatever is given up later.
    scene.client.post(&authorization, &deactivation()).await?.expect(200)?;
    assert_eq!(scene.client.read(&order.url).await?.status(), "valid");

    let id = authorization.rsplit('/').next().unwrap_or_default();
    let story = scene.server.operate(&["why", &issued.chain.serial()?]).await?.success()?;
    for told in ["to prove a.localhost before it orders", "answered 200", id] {
        assert!(story.contains(told), "{told} is not told in\n{story}");
    }
    let told =
        async |subject: &str| scene.server.operate(&["events", "--aggregate", subject]).await;
    let events = told(&format!("administration.pre-authorization.{id}")).await?.success()?;
    for kind in ["PreAuthorizationPlaced", "ChallengeReady", "ChallengeValidated"] {
        assert!(events.contains(kind), "{kind} is not in\n{events}");
    }
    Ok(())
}

#[tokio::test]
async fn an_order_waits_for_what_was_not_proven_before() -> anyhow::Result<()> {
    let scene = scene().await?;
    let authorization = scene.client.prove_before(NAME, &scene.web).await?;
    let order = scene.client.place(&["b.localhost", NAME]).await?;
    assert_eq!(order.status(), "pending");
    assert_eq!(order.authorizations()[1], authorization);
    // Its own URL is the only one that it has.
    let own = order.authorizations().remove(0);
    let within = format!("{}/1", own.strip_suffix("/0").context("not the first")?);
    for payload in [None, Some(deactivation())] {
        let reply = match payload {
            Some(payload) => scene.client.post(&within, &payload).await?,
            None => scene.client.post_as_get(&within).await?,
        };
        reply.refused((404, "malformed"))?;
    }
    scene.client.prove_by_http(&own, &scene.web).await?;
    let order = scene.client.expect_status(&order.url, "ready").await?;
    scene.client.finalize(&order, &["b.localhost", NAME]).await?;
    Ok(())
}

#[tokio::test]
async fn a_wildcard_is_proven_for_its_order_whatever_was_proven_before() -> anyhow::Result<()> {
    let dns = DnsServer::start().await?;
    let scene = scene_with(|setup| setup.set("validation.dns_resolver", dns.address())).await?;
    let authorization = scene.client.pre_authorize("www.example.com").await?;
    let challenge = scene.client.challenge(&authorization, "dns-01").await?;
    let token = challenge["token"].as_str().unwrap_or_default();
    let record = scene.client.key().txt_value(token);
    dns.set_txt("_acme-challenge.www.example.com", &[&record])?;
    scene.client.respond(&authorization, &challenge).await?;
    assert_eq!(scene.client.place(&["www.example.com"]).await?.status(), "ready");
    let wild = scene.client.place(&["*.www.example.com"]).await?;
    assert_eq!(wild.status(), "pending");
    assert_ne!(wild.authorizations(), [authorization]);
    Ok(())
}

#[tokio::test]
async fn a_pending_authorization_is_found_again_and_a_valid_one_is_renewed() -> anyhow::Result<()> {
    let scene = scene().await?;
    let first = scene.client.pre_authorize(NAME).await?;
    assert_eq!(scene.client.pre_authorize("A.localhost").await?, first);
    assert_ne!(scene.client.pre_authorize("b.localhost").await?, first);
    scene.client.prove_by_http(&first, &scene.web).await?;
    let second = scene.client.pre_authorize(NAME).await?;
    assert_ne!(second, first);
    // What is proven is good until the next one is.
    assert_eq!(scene.client.place(&[NAME]).await?.authorizations(), [first]);
    scene.client.prove_by_http(&second, &scene.web).await?;
    assert_eq!(scene.client.place(&[NAME]).await?.authorizations(), [second]);
    Ok(())
}

#[tokio::test]
async fn all_who_ask_at_once_get_the_same_authorization_and_hide_no_proof() -> anyhow::Result<()> {
    let scene = scene().await?;
    let proven = scene.client.prove_before(NAME, &scene.web).await?;
    let asked = try_join_all((0..AT_ONCE).map(|_| scene.client.pre_authorize(NAME))).await?;
    assert_eq!(asked.iter().collect::<HashSet<_>>().len(), 1, "{asked:?}");
    assert_eq!(scene.client.place(&[NAME]).await?.authorizations(), [proven]);
    Ok(())
}

#[tokio::test]
async fn an_authorization_that_was_given_up_never_issues() -> anyhow::Result<()> {
    let scene = scene().await?;
    let authorization = scene.client.prove_before(NAME, &scene.web).await?;
    let [read_first, finalized] =
        [scene.client.place(&[NAME]).await?, scene.client.place(&[NAME]).await?];
    let shown = scene.client.post(&authorization, &deactivation()).await?.expect(200)?.json()?;
    assert_eq!(shown["status"], "deactivated");
    assert_eq!(scene.client.read(&read_first.url).await?.status(), "invalid");
    for order in [&read_first, &finalized] {
        let payload = json!({ "csr": csr(&[NAME])?.1 });
        let reply = scene.client.post(&order.finalize()?, &payload).await?;
        reply.refused((403, "orderNotReady"))?;
        assert_eq!(scene.client.read(&order.url).await?.status(), "invalid");
    }
    let next = scene.client.place(&[NAME]).await?;
    assert_eq!(next.status(), "pending");
    assert_ne!(next.authorizations(), [authorization]);
    let events = scene.server.events().await?;
    assert!(events.iter().all(|event| event["type"] != "OrderFinalized"));
    Ok(())
}

#[tokio::test]
async fn an_authorization_that_has_expired_never_issues() -> anyhow::Result<()> {
    let profile = ALLOWED.replace("}]", ", pre_authorization_validity=\"5s\"}]");
    let scene = Scene::with(|setup| setup.set("profile", profile)).await?;
    let authorization = scene.client.prove_before(NAME, &scene.web).await?;
    let order = scene.client.place(&[NAME]).await?;
    assert_eq!(order.status(), "ready");
    let shown = read(&scene.client, &authorization).await?;
    assert_eq!(order.body["expires"], shown["expires"]);
    eventually("the authorization has expired", EXPIRY_LIMIT, async || {
        let shown = read(&scene.client, &authorization).await?;
        Ok((shown["status"] == "expired").then_some(()))
    })
    .await?;
    assert_eq!(scene.client.read(&order.url).await?.status(), "invalid");
    let payload = json!({ "csr": csr(&[NAME])?.1 });
    let reply = scene.client.post(&order.finalize()?, &payload).await?;
    reply.refused((403, "orderNotReady"))?;
    assert_eq!(scene.client.place(&[NAME]).await?.status(), "pending");
    Ok(())
}

#[tokio::test]
async fn a_proof_that_ends_soon_leaves_an_order_the_time_for_its_other_proofs() -> anyhow::Result<()>
{
    let profile = ALLOWED.replace("}]", ", pre_authorization_validity=\"4m\"}]");
    let scene = Scene::with(|setup| setup.set("profile", profile)).await?;
    let authorization = scene.client.prove_before(NAME, &scene.web).await?;
    let names = [NAME, "b.localhost"];
    let order = scene.client.place(&names).await?;
    assert!(!order.authorizations().contains(&authorization), "{:?}", order.body);
    let shown = read(&scene.client, &authorization).await?;
    let [order_ends, proof_ends] = [&order.body, &shown].map(|it| it["expires"].as_str());
    assert!(order_ends > proof_ends, "{order_ends:?} {proof_ends:?}");
    let order = scene.client.ready_order(&names, &scene.web).await?;
    scene.client.finalize(&order, &names).await?;
    // There is nothing else to prove.
    assert_eq!(scene.client.place(&[NAME]).await?.authorizations(), [authorization]);
    Ok(())
}

#[tokio::test]
async fn what_one_account_proved_is_nothing_to_another() -> anyhow::Result<()> {
    let scene =
        Scene::with(|setup| setup.set("profile", TWO).set("default_profile", "default")).await?;
    let authorization = scene.client.prove_before(NAME, &scene.web).await?;
    let (other, root) = (scene.server.profile_url("other"), scene.server.root());
    for stranger in [scene.stranger().await?, RawClient::register(&other, &root).await?] {
        let order = stranger.place(&[NAME]).await?;
        assert_eq!(order.status(), "pending");
        assert_ne!(order.authorizations(), slice::from_ref(&authorization));
        assert_ne!(stranger.pre_authorize(NAME).await?, authorization);
    }
    Ok(())
}

#[tokio::test]
async fn addresses_are_proven_before_they_are_ordered_too() -> anyhow::Result<()> {
    let scene =
        Scene::with(|setup| setup.set("profile", TWO).set("default_profile", "default")).await?;
    let authorization = scene.client.prove_before("127.0.0.1", &scene.web).await?;
    let order = scene.client.place(&["127.0.0.1"]).await?;
    assert_eq!((order.status(), order.authorizations()), ("ready", vec![authorization]));
    scene.client.finalize(&order, &["127.0.0.1"]).await?;
    Ok(())
}

#[tokio::test]
async fn what_was_proven_survives_a_crash_and_a_rebuild() -> anyhow::Result<()> {
    let mut scene = scene().await?;
    let authorization = scene.client.prove_before(NAME, &scene.web).await?;
    scene.server.kill().await?;
    scene.server.start().await?;
    scene.client.forget_nonces();
    assert_eq!(read(&scene.client, &authorization).await?["status"], "valid");
    scene.server.operate(&["rebuild"]).await?.success()?;
    let order = scene.client.place(&[NAME]).await?;
    assert_eq!((order.status(), order.authorizations()), ("ready", vec![authorization]));
    Ok(())
}

#[tokio::test]
async fn a_failed_proof_is_retried_and_tells_why() -> anyhow::Result<()> {
    let scene = scene_with(|setup| setup.set("validation.retry_wait", "5m")).await?;
    let authorization = scene.client.pre_authorize(NAME).await?;
    let challenge = scene.client.challenge(&authorization, "http-01").await?;
    let url = challenge["url"].as_str().unwrap_or_default();
    let reply = scene.client.post(url, &json!({})).await?.expect(200)?;
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.links("up"), slice::from_ref(&authorization));
    let shown = reply.json()?;
    assert_eq!(shown["status"], "processing", "{shown}");
    assert!(shown["error"]["type"].is_string(), "{shown}");
    scene.client.prove_by_http(&authorization, &scene.web).await?;
    assert_eq!(scene.client.place(&[NAME]).await?.status(), "ready");
    Ok(())
}

#[tokio::test]
async fn caa_decides_before_an_order_as_well() -> anyhow::Result<()> {
    let dns = DnsServer::start().await?;
    dns.set_caa("example.com", &["0 issue other.example"])?;
    dns.set_caa("www.example.com", &["0 issue ca.example"])?;
    let scene = scene_with(|setup| {
        setup
            .set("validation.dns_resolver", dns.address())
            .set("validation.caa_identities", r#"["ca.example"]"#)
            .set("validation.attempts", 1)
    })
    .await?;
    assert!(scene.client.prove_before("example.com", &scene.web).await.is_err());
    let refused = scene.client.pre_authorize("example.com").await?;
    assert_eq!(read(&scene.client, &refused).await?["status"], "pending", "it is a new one");
    scene.client.prove_before("www.example.com", &scene.web).await?;
    let order = scene.client.place(&["www.example.com"]).await?;
    scene.client.finalize(&order, &["www.example.com"]).await?;
    // The look that proved the name was recent enough.
    let events = scene.server.events().await?;
    assert!(events.iter().all(|event| event["type"] != "CaaCheckNeeded"));
    Ok(())
}

#[tokio::test]
async fn whoever_proved_all_names_before_any_order_revokes_their_certificate() -> anyhow::Result<()>
{
    let scene = scene().await?;
    let issued = scene.client.issue(&[NAME, "b.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
    let owner = scene.stranger().await?;
    let given_up = owner.prove_before(NAME, &scene.web).await?;
    owner.prove_before("b.localhost", &scene.web).await?;
    // An order that relied on what was given up proves nothing either.
    owner.place(&[NAME]).await?;
    owner.post(&given_up, &deactivation()).await?.expect(200)?;
    owner.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
    owner.prove_before(NAME, &scene.web).await?;
    owner.post("revokeCert", &payload).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_account_makes_as_many_pre_authorizations_as_the_profile_allows() -> anyhow::Result<()> {
    let two = ALLOWED.replace("}]", ", pre_authorizations_per_hour=2}]");
    let scene = Scene::with(|setup| setup.set("profile", two)).await?;
    let first = scene.client.pre_authorize("a.localhost").await?;
    scene.client.pre_authorize("b.localhost").await?;
    let asked = json!({ "identifier": { "type": "dns", "value": "c.localhost" } });
    let reply = scene.client.post("newAuthz", &asked).await?;
    reply.refused((429, "rateLimited"))?;
    let wait: u64 = reply.header("retry-after").unwrap_or_default().parse()?;
    assert!((3000..=3600).contains(&wait), "what is left of the hour: {wait}");
    // What is found again is not made, an order needs none, and others have their own number.
    assert_eq!(scene.client.pre_authorize("a.localhost").await?, first);
    scene.client.issue(&["c.localhost"], &scene.web).await?;
    scene.stranger().await?.pre_authorize("c.localhost").await?;
    Ok(())
}

#[tokio::test]
async fn a_way_of_proving_that_is_no_longer_offered_does_not_count_for_new_orders()
-> anyhow::Result<()> {
    let mut scene = scene().await?;
    scene.client.prove_before(NAME, &scene.web).await?;
    assert_eq!(scene.client.place(&[NAME]).await?.status(), "ready");
    let by_dns = ALLOWED.replace("}]", ", challenge_types=[\"dns-01\"]}]");
    let none = ALLOWED.replace("true", "false");
    for profile in [by_dns, none] {
        scene.server.stop().await?;
        scene.server.configure("profile", profile);
        scene.server.start().await?;
        scene.client.forget_nonces();
        assert_eq!(scene.client.place(&[NAME]).await?.status(), "pending");
    }
    Ok(())
}
