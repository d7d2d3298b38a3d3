//! From an order to a certificate (RFC 8555 §7.4).

use acceptance::{RawClient, Scene, Site, csr, lint, verify};
use serde_json::json;

const NAME: &str = "a.localhost";

#[tokio::test]
async fn a_certificate_has_exactly_the_names_of_its_order() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["b.localhost", NAME, "www.a.localhost"], &scene.web).await?;
    assert_eq!(issued.chain.names()?, [NAME, "b.localhost", "www.a.localhost"]);
    verify(&issued.chain, &scene.server.root()).await
}

#[tokio::test]
async fn a_wildcard_is_proven_by_dns_only() -> anyhow::Result<()> {
    let site = Site::embedded(Site::challenge_port()?).await?;
    let client = RawClient::register(&site.directory_url(), &site.trust()).await?;
    let names = ["*.wild.example.com"];
    let order = client.place(&names).await?;
    let authorization = client.post_as_get(&order.authorizations()[0]).await?.json()?;
    assert_eq!(authorization["wildcard"], true);
    assert_eq!(authorization["identifier"]["value"], "wild.example.com");
    let offered = authorization["challenges"].as_array().cloned().unwrap_or_default();
    let offered: Vec<_> = offered.iter().map(|challenge| &challenge["type"]).collect();
    assert_eq!(offered, ["dns-01"]);

    let order = client.prove_by_dns(&order, &site.dns).await?;
    let issued = client.finalize(&order, &names).await?;
    assert_eq!(issued.chain.names()?, names);
    verify(&issued.chain, &site.root()).await?;
    lint(&issued.chain).await
}

#[tokio::test]
async fn an_order_shows_each_of_its_statuses() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let placed = scene.client.place(&[NAME]).await?;
    assert_eq!(placed.status(), "pending");
    assert_eq!(placed.body["identifiers"], json!([{ "type": "dns", "value": NAME }]));
    assert!(placed.body["expires"].is_string(), "{}", placed.body);
    assert!(placed.body.get("certificate").is_none(), "{}", placed.body);

    let ready = scene.client.prove(&placed, &scene.web).await?;
    assert_eq!(ready.status(), "ready");
    let authorization = scene.client.post_as_get(&ready.authorizations()[0]).await?.json()?;
    assert_eq!(authorization["status"], "valid");
    assert!(authorization["expires"].is_string(), "{authorization}");

    let issued = scene.client.finalize(&ready, &[NAME]).await?;
    assert_eq!(issued.order.status(), "valid");
    assert_eq!(issued.order.authorizations(), placed.authorizations());
    assert_eq!(issued.order.finalize()?, placed.finalize()?);
    Ok(())
}

#[tokio::test]
async fn names_keep_the_spelling_of_the_request() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let order = scene.client.place(&["MiXed.LocalHost"]).await?;
    assert_eq!(order.body["identifiers"][0]["value"], "MiXed.LocalHost");
    let order = scene.client.prove(&order, &scene.web).await?;
    let issued = scene.client.finalize(&order, &["mixed.localhost"]).await?;
    assert_eq!(issued.chain.names()?.concat().to_ascii_lowercase(), "mixed.localhost");
    Ok(())
}

#[tokio::test]
async fn a_renewal_is_another_certificate() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let first = scene.client.issue(&[NAME], &scene.web).await?;
    let second = scene.client.issue(&[NAME], &scene.web).await?;
    assert_ne!(first.order.url, second.order.url);
    assert_ne!(first.chain.serial()?, second.chain.serial()?);
    // 136 bits, of which 128 are random.
    assert_eq!(first.chain.serial()?.len(), 34);
    Ok(())
}

#[tokio::test]
async fn a_finalize_that_is_repeated_answers_with_the_same_certificate() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    let payload = json!({ "csr": csr(&[NAME])?.1 });
    let first = scene.client.post(&order.finalize()?, &payload).await?.expect(200)?;
    let second = scene.client.post(&order.finalize()?, &payload).await?.expect(200)?;
    assert_eq!(first.location()?, order.url);
    assert_eq!(second.location()?, order.url);
    let order = scene.client.expect_status(&order.url, "valid").await?;
    assert_eq!(second.json()?["certificate"], order.body["certificate"]);
    Ok(())
}

#[tokio::test]
async fn a_padded_csr_is_taken_where_the_profile_allows_it() -> anyhow::Result<()> {
    let profiles = r#"[{name="default"}, {name="lenient", padded_csr_allowed=true}]"#;
    let scene = Scene::with(|setup| setup.set("profile", profiles)).await?;
    let payload = json!({ "csr": format!("{}==", csr(&[NAME])?.1) });
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    scene.client.post(&order.finalize()?, &payload).await?.refused((400, "badCSR"))?;
    let directory = scene.server.profile_url("lenient");
    let lenient = RawClient::register(&directory, &scene.server.root()).await?;
    let order = lenient.ready_order(&[NAME], &scene.web).await?;
    lenient.post(&order.finalize()?, &payload).await?.expect(200)?;
    lenient.expect_status(&order.url, "valid").await?;
    Ok(())
}

#[tokio::test]
async fn a_proof_that_is_not_there_ends_the_order() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("validation.attempts", 1)).await?;
    let order = scene.client.place(&[NAME]).await?;
    let authorization = &order.authorizations()[0];
    let challenge = scene.client.challenge(authorization, "http-01").await?;
    let url = challenge["url"].as_str().unwrap_or_default();
    scene.client.post(url, &json!({})).await?.expect(200)?;
    let order = scene.client.expect_status(&order.url, "invalid").await?;
    assert!(order.body["error"]["type"].is_string(), "{}", order.body);
    assert!(order.body["error"]["detail"].is_string(), "{}", order.body);

    let authorization = scene.client.post_as_get(authorization).await?.expect(200)?.json()?;
    assert_eq!(authorization["status"], "invalid");
    let challenges = authorization["challenges"].as_array().cloned().unwrap_or_default();
    let failed = challenges.iter().find(|it| it["type"] == "http-01").cloned().unwrap_or_default();
    assert_eq!(failed["status"], "invalid");
    assert!(failed["error"]["type"].is_string(), "{failed}");
    Ok(())
}

#[tokio::test]
async fn the_proof_of_another_account_is_no_proof() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("validation.attempts", 1)).await?;
    let stranger = scene.stranger().await?;
    let order = scene.client.place(&[NAME]).await?;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    let token = challenge["token"].as_str().unwrap_or_default();
    scene.web.answer(token, &stranger.key().key_authorization(token))?;
    let url = challenge["url"].as_str().unwrap_or_default();
    scene.client.post(url, &json!({})).await?.expect(200)?;
    let order = scene.client.expect_status(&order.url, "invalid").await?;
    let kind = order.body["error"]["type"].as_str().unwrap_or_default();
    assert!(kind.ends_with(":unauthorized") || kind.ends_with(":incorrectResponse"), "{kind}");
    Ok(())
}

#[tokio::test]
async fn a_deactivated_authorization_issues_nothing() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    let update = json!({ "status": "deactivated" });
    let reply = scene.client.post(&order.authorizations()[0], &update).await?.expect(200)?;
    assert_eq!(reply.json()?["status"], "deactivated");
    let payload = json!({ "csr": csr(&[NAME])?.1 });
    let refused = scene.client.post(&order.finalize()?, &payload).await?;
    refused.refused((403, "orderNotReady"))?;
    assert_eq!(scene.client.read(&order.url).await?.status(), "invalid");
    Ok(())
}

#[tokio::test]
async fn an_order_for_a_hundred_names_is_issued() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let names: Vec<String> = (0..100).map(|number| format!("n{number}.localhost")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let issued = scene.client.issue(&names, &scene.web).await?;
    assert_eq!(issued.chain.names()?.len(), 100);
    verify(&issued.chain, &scene.server.root()).await
}
