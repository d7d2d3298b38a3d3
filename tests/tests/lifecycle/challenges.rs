//! Challenges that fail at first (RFC 8555 §8.2), and CAA (RFC 8659, RFC 8657) from the order to the answer.

use acceptance::{DnsServer, Reply, Scene};
use serde_json::{Value, json};

const NAME: &str = "a.localhost";
const DNS_NAME: &str = "www.example.com";

async fn patient_scene() -> anyhow::Result<Scene> {
    // The next look does not come by itself while the test runs.
    Scene::with(|setup| setup.set("validation.retry_wait", "5m")).await
}

/// Responds to an order's http-01 challenge; the reply comes when the first look was taken.
async fn respond(scene: &Scene, challenge: &Value) -> anyhow::Result<Reply> {
    let url = challenge["url"].as_str().unwrap_or_default();
    scene.client.post(url, &json!({})).await?.expect(200)
}

#[tokio::test]
async fn while_retries_go_on_the_challenge_has_an_error_and_says_when_to_ask_again()
-> anyhow::Result<()> {
    let scene = patient_scene().await?;
    let order = scene.client.place(&[NAME]).await?;
    let authorization = &order.authorizations()[0];
    let challenge = scene.client.challenge(authorization, "http-01").await?;
    let reply = respond(&scene, &challenge).await?;
    let wait: u64 = reply.header("retry-after").unwrap_or_default().parse()?;
    assert!((200..=301).contains(&wait), "{wait}");
    let shown = reply.json()?;
    assert_eq!(shown["status"], "processing", "{shown}");
    assert!(shown["error"]["type"].is_string(), "{shown}");

    let reply = scene.client.post_as_get(authorization).await?.expect(200)?;
    assert!(reply.header("retry-after").is_some());
    let shown = reply.json()?;
    assert_eq!(shown["status"], "pending", "{shown}");
    assert_eq!(scene.client.read(&order.url).await?.status(), "pending");
    Ok(())
}

#[tokio::test]
async fn responding_again_has_the_challenge_retried_at_once() -> anyhow::Result<()> {
    let scene = patient_scene().await?;
    let order = scene.client.place(&[NAME]).await?;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    assert_eq!(respond(&scene, &challenge).await?.json()?["status"], "processing");
    let token = challenge["token"].as_str().unwrap_or_default();
    scene.web.answer(token, &scene.client.key().key_authorization(token))?;
    let shown = respond(&scene, &challenge).await?.json()?;
    assert_eq!(shown["status"], "valid", "{shown}");
    assert!(shown.get("error").is_none(), "{shown}");
    scene.client.expect_status(&order.url, "ready").await?;
    Ok(())
}

#[tokio::test]
async fn a_proof_that_comes_late_is_seen_without_being_asked_for_again() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("validation.retry_wait", "1s")).await?;
    let order = scene.client.place(&[NAME]).await?;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    assert_eq!(respond(&scene, &challenge).await?.json()?["status"], "processing");
    let token = challenge["token"].as_str().unwrap_or_default();
    scene.web.answer(token, &scene.client.key().key_authorization(token))?;
    scene.client.expect_status(&order.url, "ready").await?;
    Ok(())
}

#[tokio::test]
async fn a_client_cannot_have_more_looks_than_are_configured() -> anyhow::Result<()> {
    let scene = patient_scene().await?;
    let order = scene.client.place(&[NAME]).await?;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    for expected in ["processing", "processing", "invalid", "invalid"] {
        assert_eq!(respond(&scene, &challenge).await?.json()?["status"], expected);
    }
    assert_eq!(scene.client.read(&order.url).await?.status(), "invalid");
    Ok(())
}

#[tokio::test]
async fn a_decided_authorization_shows_the_challenge_that_decided_it() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("validation.attempts", 1)).await?;
    for (name, status) in [("proven.localhost", "valid"), ("missed.localhost", "invalid")] {
        let order = scene.client.place(&[name]).await?;
        let authorization = &order.authorizations()[0];
        let challenge = scene.client.challenge(authorization, "http-01").await?;
        let token = challenge["token"].as_str().unwrap_or_default();
        if status == "valid" {
            scene.web.answer(token, &scene.client.key().key_authorization(token))?;
        }
        respond(&scene, &challenge).await?;
        let shown = scene.client.post_as_get(authorization).await?.expect(200)?.json()?;
        assert_eq!(shown["status"], status, "{shown}");
        let challenges = shown["challenges"].as_array().cloned().unwrap_or_default();
        assert_eq!(challenges.len(), 1, "{shown}");
        assert_eq!(
            (&challenges[0]["type"], &challenges[0]["status"]),
            (&json!("http-01"), &json!(status))
        );
    }
    Ok(())
}

/// certbot responds for all names before it looks at any, and lego goes on with the next name.
#[tokio::test]
async fn a_name_is_proven_though_another_of_its_order_was_not() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("validation.attempts", 1)).await?;
    let order = scene.client.place(&["missed.localhost", "proven.localhost"]).await?;
    let [missed, proven] = &order.authorizations()[..] else { anyhow::bail!("{order:?}") };
    let challenge = scene.client.challenge(missed, "http-01").await?;
    assert_eq!(respond(&scene, &challenge).await?.json()?["status"], "invalid");
    let challenge = scene.client.challenge(proven, "http-01").await?;
    let token = challenge["token"].as_str().unwrap_or_default();
    scene.web.answer(token, &scene.client.key().key_authorization(token))?;
    assert_eq!(respond(&scene, &challenge).await?.json()?["status"], "valid");
    let shown = scene.client.read(&order.url).await?.body;
    assert_eq!(shown["status"], "invalid", "{shown}");
    assert!(shown["error"]["detail"].is_string(), "{shown}");
    Ok(())
}

/// A server that enforces CAA for `ca.example`, and the DNS it asks.
async fn caa_scene() -> anyhow::Result<(Scene, DnsServer)> {
    let dns = DnsServer::start().await?;
    let scene = Scene::with(|setup| {
        setup
            .set("validation.dns_resolver", dns.address())
            .set("validation.caa_identities", r#"["ca.example"]"#)
            // What CAA says is final: another look would not come while the test runs.
            .set("validation.retry_wait", "5m")
    })
    .await?;
    Ok((scene, dns))
}

/// Responds to the challenge of an order for the name, whose proof is there; answers the order's problem.
async fn refused(scene: &Scene, name: &str) -> anyhow::Result<Value> {
    let order = scene.client.place(&[name]).await?;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    let token = challenge["token"].as_str().unwrap_or_default();
    scene.web.answer(token, &scene.client.key().key_authorization(token))?;
    respond(scene, &challenge).await?;
    let order = scene.client.expect_status(&order.url, "invalid").await?;
    Ok(order.body["error"].clone())
}

#[tokio::test]
async fn a_name_whose_caa_records_name_another_ca_is_refused() -> anyhow::Result<()> {
    let (scene, dns) = caa_scene().await?;
    dns.set_caa("example.com", &["0 issue other.example"])?;
    let error = refused(&scene, DNS_NAME).await?;
    assert_eq!(error["type"], "urn:ietf:params:acme:error:caa", "{error}");
    let events = scene.server.events().await?;
    let seen = events.iter().rev().find_map(|event| {
        let caa = &event.pointer("/data/evidence/caa")?;
        caa.is_object().then(|| (*caa).clone())
    });
    let expected = json!({ "found_at": "example.com", "records": ["0 issue \"other.example\""] });
    assert_eq!(seen, Some(expected), "{events:?}");
    Ok(())
}

#[tokio::test]
async fn a_name_whose_caa_records_name_this_ca_and_account_and_method_is_issued()
-> anyhow::Result<()> {
    let (scene, dns) = caa_scene().await?;
    let account = scene.client.account()?;
    let issue = format!("0 issue ca.example; accounturi={account}; validationmethods=http-01");
    dns.set_caa(DNS_NAME, &[&issue])?;
    scene.client.issue(&[DNS_NAME], &scene.web).await?;
    Ok(())
}

#[tokio::test]
async fn a_name_whose_caa_records_name_another_account_is_refused() -> anyhow::Result<()> {
    let (scene, dns) = caa_scene().await?;
    let stranger = scene.stranger().await?;
    let issue = format!("0 issue ca.example; accounturi={}", stranger.account()?);
    dns.set_caa(DNS_NAME, &[&issue])?;
    let error = refused(&scene, DNS_NAME).await?;
    assert_eq!(error["type"], "urn:ietf:params:acme:error:caa", "{error}");
    Ok(())
}

#[tokio::test]
async fn a_profile_can_leave_caa_alone() -> anyhow::Result<()> {
    let dns = DnsServer::start().await?;
    dns.set_caa("example.com", &["0 issue ;"])?;
    let scene = Scene::with(|setup| {
        setup
            .set("validation.dns_resolver", dns.address())
            .set("validation.caa_identities", r#"["ca.example"]"#)
            .set("profile", r#"[{name="default", validation={caa_enforced=false}}]"#)
    })
    .await?;
    scene.client.issue(&[DNS_NAME], &scene.web).await?;
    Ok(())
}
