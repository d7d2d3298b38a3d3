//! Replies that wait for an outcome instead of being polled for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use acceptance::{Order, Scene, csr};
use serde_json::{Value, json};

const NAME: &str = "a.localhost";
/// What is answered at once is answered long before a held reply.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A challenge that would be proven if the applicant's web server answered, which it does not yet.
async fn waiting(hold: &str) -> anyhow::Result<(Scene, Order, Value)> {
    let scene = Scene::with(|setup| setup.set("api.hold", hold)).await?;
    let order = scene.client.place(&[NAME]).await?;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    let token = challenge["token"].as_str().unwrap_or_default();
    scene.web.answer(token, &scene.client.key().key_authorization(token))?;
    scene.web.close_gate();
    Ok((scene, order, challenge))
}

fn url(challenge: &Value) -> String {
    challenge["url"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_reply_to_a_challenge_is_held_until_it_is_decided() -> anyhow::Result<()> {
    let (scene, _, challenge) = waiting("20s").await?;
    let scene = Arc::new(scene);
    let held = tokio::spawn({
        let (scene, url) = (Arc::clone(&scene), url(&challenge));
        async move { scene.client.post(&url, &json!({})).await }
    });
    scene.web.until_asked(1).await?;
    assert!(!held.is_finished(), "the reply did not wait");
    scene.web.open_gate();
    assert_eq!(held.await??.expect(200)?.json()?["status"], "valid");
    Ok(())
}

#[tokio::test]
async fn a_read_of_an_authorization_in_validation_is_held_as_well() -> anyhow::Result<()> {
    let (scene, order, challenge) = waiting("20s").await?;
    let scene = Arc::new(scene);
    let responding = tokio::spawn({
        let (scene, url) = (Arc::clone(&scene), url(&challenge));
        async move { scene.client.post(&url, &json!({})).await }
    });
    scene.web.until_asked(1).await?;
    let reading = tokio::spawn({
        let (scene, url) = (Arc::clone(&scene), order.authorizations()[0].clone());
        async move { scene.client.post_as_get(&url).await }
    });
    // An order whose challenge is being validated is `pending`, which waits for the client: answered at once.
    assert_eq!(scene.client.read(&order.url).await?.status(), "pending");
    assert!(!reading.is_finished(), "the read did not wait");
    scene.web.open_gate();
    assert_eq!(reading.await??.expect(200)?.json()?["status"], "valid");
    responding.await??.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_read_that_was_held_says_when_to_come_from_the_end_of_its_wait() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| {
        setup
            .set("api.hold", "20s")
            .set("validation.timeout", "5s")
            .set("validation.retry_wait", "5m")
    });
    let scene = Arc::new(scene.await?);
    let order = scene.client.place(&[NAME]).await?;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    scene.web.close_gate();
    let responding = tokio::spawn({
        let (scene, url) = (Arc::clone(&scene), url(&challenge));
        async move { scene.client.post(&url, &json!({})).await }
    });
    scene.web.until_asked(1).await?;
    let read = scene.client.post_as_get(&order.authorizations()[0]).await?.expect(200)?;
    for reply in [read, responding.await??.expect(200)?] {
        let seconds: u32 = reply.header("retry-after").unwrap_or_default().parse()?;
        assert!((200..=301).contains(&seconds), "{seconds}");
    }
    Ok(())
}

#[tokio::test]
async fn finalize_is_answered_with_the_certificate() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("api.hold", "20s")).await?;
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    let payload = json!({ "csr": csr(&[NAME])?.1 });
    let reply = scene.client.post(&order.finalize()?, &payload).await?.expect(200)?.json()?;
    assert_eq!(reply["status"], "valid");
    assert!(reply["certificate"].is_string(), "{reply}");
    Ok(())
}

#[tokio::test]
async fn what_waits_for_the_client_is_answered_at_once() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("api.hold", "20s")).await?;
    let order = scene.client.place(&[NAME]).await?;
    let start = Instant::now();
    assert_eq!(scene.client.read(&order.url).await?.status(), "pending");
    for authorization in order.authorizations() {
        let reply = scene.client.post_as_get(&authorization).await?.expect(200)?;
        let body = reply.json()?;
        assert_eq!(
            (&body["status"], &body["expires"]),
            (&json!("pending"), &order.body["expires"])
        );
        // There is nothing to come back for.
        assert_eq!(reply.header("retry-after"), None);
    }
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn nothing_is_held_when_holding_is_off() -> anyhow::Result<()> {
    let (scene, order, challenge) = waiting("0").await?;
    let reply = scene.client.post(&url(&challenge), &json!({})).await?.expect(200)?;
    assert_eq!(reply.json()?["status"], "processing");
    let seconds: u32 = reply.header("retry-after").unwrap_or_default().parse()?;
    assert!(seconds >= 1);
    scene.web.open_gate();
    scene.client.expect_status(&order.url, "ready").await?;
    Ok(())
}

#[tokio::test]
async fn an_order_that_is_being_processed_says_when_to_ask_again() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("api.hold", "0")).await?;
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    let payload = json!({ "csr": csr(&[NAME])?.1 });
    let reply = scene.client.post(&order.finalize()?, &payload).await?.expect(200)?;
    assert_eq!(reply.json()?["status"], "processing");
    let seconds: u32 = reply.header("retry-after").unwrap_or_default().parse()?;
    assert!(seconds >= 1);
    scene.client.expect_status(&order.url, "valid").await?;
    Ok(())
}

#[tokio::test]
async fn past_the_bound_of_held_replies_the_answer_is_immediate() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("api.hold", "20s").set("api.max_held", 1)).await?;
    let first = scene.client.place(&[NAME]).await?;
    let second = scene.client.place(&["b.localhost"]).await?;
    scene.web.close_gate();
    let scene = Arc::new(scene);
    let challenge = scene.client.challenge(&first.authorizations()[0], "http-01").await?;
    let held = tokio::spawn({
        let (scene, url) = (Arc::clone(&scene), url(&challenge));
        async move { scene.client.post(&url, &json!({})).await }
    });
    scene.web.until_asked(1).await?;
    let challenge = scene.client.challenge(&second.authorizations()[0], "http-01").await?;
    let reply = scene.client.post(&url(&challenge), &json!({})).await?.expect(200)?;
    assert_eq!(reply.json()?["status"], "processing");
    assert!(!held.is_finished());
    scene.web.open_gate();
    held.await??.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_held_reply_is_given_after_the_configured_moment() -> anyhow::Result<()> {
    let (scene, _, challenge) = waiting("1s").await?;
    let start = Instant::now();
    let reply = scene.client.post(&url(&challenge), &json!({})).await?.expect(200)?;
    assert_eq!(reply.json()?["status"], "processing");
    let took = start.elapsed();
    assert!((Duration::from_secs(1)..AT_ONCE).contains(&took), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_held_reply_is_finished_before_the_server_stops() -> anyhow::Result<()> {
    let (mut scene, _, challenge) = waiting("20s").await?;
    let (client, server, web) = (scene.client, &mut scene.server, &scene.web);
    let held = tokio::spawn(async move { client.post(&url(&challenge), &json!({})).await });
    web.until_asked(1).await?;
    let took = server.stop().await?;
    assert!(took <= Duration::from_secs(10), "{took:?}");
    let reply = held.await??.expect(200)?;
    assert_eq!(reply.json()?["status"], "processing");
    Ok(())
}
