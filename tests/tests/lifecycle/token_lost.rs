//! What happens while a token that was there at the start is away, hangs, or holds something else.

use std::time::Duration;

use acceptance::{OcspQuestion, Order, Scene, Setup, Token, csr, eventually, verify};
use serde_json::json;

use crate::token::{LIMIT, count};

/// How long a process may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

async fn until_ready_is(scene: &Scene, expected: bool) -> anyhow::Result<()> {
    eventually("it says whether it is ready", LIMIT, async || {
        let is_ready = scene.server.ops("/readyz").await?.is_success();
        Ok((is_ready == expected).then_some(()))
    })
    .await
}

/// Finalizes an order that is tried some times, and for which nothing is reserved.
async fn finalize_in_vain(scene: &Scene, order: &Order, name: &str) -> anyhow::Result<()> {
    let before = scene.server.events().await?;
    let (_, request) = csr(&[name])?;
    let retried = scene.server.metric("certmill_issuances_retried_total").await?;
    scene.client.post(&order.finalize()?, &json!({ "csr": request })).await?.expect(200)?;
    eventually("it is tried some times", LIMIT, async || {
        let now = scene.server.metric("certmill_issuances_retried_total").await?;
        Ok((now > retried + 2.0).then_some(()))
    })
    .await?;
    assert_eq!(scene.client.read(&order.url).await?.status(), "processing");
    let after = scene.server.events().await?;
    assert_eq!(count(&before, "SerialReserved"), count(&after, "SerialReserved"));
    Ok(())
}

#[tokio::test]
async fn while_the_token_is_away_nothing_is_lost_and_nothing_reserved() -> anyhow::Result<()> {
    let token = Token::make().await?;
    let mut hsm = token.serve().await?;
    let scene = Scene::over(hsm.in_setup(Setup::embedded())?).await?;
    let client = &scene.client;
    client.issue(&["a.localhost"], &scene.web).await?;
    let (first, second) = (
        client.ready_order(&["b.localhost"], &scene.web).await?,
        client.ready_order(&["c.localhost"], &scene.web).await?,
    );
    let (_, request) = csr(&["b.localhost"])?;
    hsm.go_away().await?;
    client.post(&first.finalize()?, &json!({ "csr": request })).await?.expect(200)?;
    until_ready_is(&scene, false).await?;

    finalize_in_vain(&scene, &second, "c.localhost").await?;

    hsm.come_back().await?;
    for order in [&first, &second] {
        let order = client.expect_status(&order.url, "valid").await?;
        verify(&client.download(&order).await?, &scene.server.root()).await?;
    }
    until_ready_is(&scene, true).await?;
    // What was reserved when the token went away, and nothing else.
    assert!(count(&scene.server.events().await?, "SerialBurned") <= 1);
    Ok(())
}

#[tokio::test]
async fn a_pin_that_was_refused_is_not_sent_again_for_any_key() -> anyhow::Result<()> {
    let token = Token::make().await?;
    let mut hsm = token.serve().await?;
    // Each of them has a key in the token, and none sends the PIN after another did in vain.
    let issuers = r#"[{name="second"}, {name="third"}]"#;
    let setup = hsm.in_setup(Setup::embedded())?.set("ca.issuer", issuers);
    let mut scene = Scene::over(setup).await?;
    hsm.go_away().await?;
    token.change_pin("161803").await?;
    hsm.come_back().await?;
    let log = eventually("the token is left alone", LIMIT, async || {
        let log = scene.server.process()?.log_tail();
        Ok((log.matches("the token refused the PIN before").count() > 3).then_some(log))
    })
    .await?;
    assert_eq!(log.matches("correct the PIN file before the token locks itself").count(), 1);
    assert!(!scene.server.ops("/readyz").await?.is_success());
    Ok(())
}

#[tokio::test]
async fn a_token_with_another_key_of_the_label_signs_nothing() -> anyhow::Result<()> {
    let token = Token::make().await?;
    let mut hsm = token.serve().await?;
    let mut scene = Scene::over(hsm.in_setup(Setup::embedded())?).await?;
    let order = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    hsm.go_away().await?;
    token.replace_key("EC:prime256v1", "certmill-intermediate").await?;
    hsm.come_back().await?;
    eventually("the other key is seen", LIMIT, async || {
        let log = scene.server.process()?.log_tail();
        Ok(log.contains("another key with the label").then_some(()))
    })
    .await?;
    until_ready_is(&scene, false).await?;
    finalize_in_vain(&scene, &order, "a.localhost").await
}

#[tokio::test]
async fn a_token_that_answers_and_does_not_sign_costs_one_serial() -> anyhow::Result<()> {
    let token = Token::make().await?;
    let scene = Scene::over(token.in_setup(Setup::embedded())?).await?;
    let order = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    let (_, request) = csr(&["a.localhost"])?;
    token.replace_private_half("certmill-intermediate").await?;
    scene.client.post(&order.finalize()?, &json!({ "csr": request })).await?.expect(200)?;
    until_ready_is(&scene, false).await?;
    let order = scene.client.ready_order(&["b.localhost"], &scene.web).await?;
    finalize_in_vain(&scene, &order, "b.localhost").await?;
    assert!(!scene.server.ops("/readyz").await?.is_success(), "it takes the key for good");
    assert_eq!(count(&scene.server.events().await?, "SerialBurned"), 1);
    Ok(())
}

#[tokio::test]
async fn the_serial_of_an_ocsp_responder_that_was_not_certified_is_given_up_at_once()
-> anyhow::Result<()> {
    let token = Token::make().await?;
    let setup = token.in_setup(Setup::embedded())?.set("ca.ocsp", true);
    let scene = Scene::over(setup).await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    token.replace_private_half("certmill-intermediate").await?;
    let question = OcspQuestion::about(&scene.client, &scene.server.root(), &issued.chain)?;
    question.post(question.request(&["-no_nonce"]).await?).await?;
    until_ready_is(&scene, false).await?;
    assert_eq!(count(&scene.server.events().await?, "SerialBurned"), 1);
    Ok(())
}

#[tokio::test]
async fn while_the_token_hangs_nothing_is_reserved() -> anyhow::Result<()> {
    let token = Token::make().await?;
    let hsm = token.serve().await?;
    let scene = Scene::over(hsm.in_setup(Setup::embedded())?).await?;
    let order = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    hsm.freeze().await?;
    until_ready_is(&scene, false).await?;
    finalize_in_vain(&scene, &order, "a.localhost").await?;

    hsm.thaw().await?;
    let order = scene.client.expect_status(&order.url, "valid").await?;
    verify(&scene.client.download(&order).await?, &scene.server.root()).await?;
    until_ready_is(&scene, true).await?;
    assert_eq!(count(&scene.server.events().await?, "SerialBurned"), 0);
    Ok(())
}

#[tokio::test]
async fn a_server_stops_in_time_while_its_token_hangs_also_at_its_start() -> anyhow::Result<()> {
    let token = Token::make().await?;
    let hsm = token.serve().await?;
    let mut scene = Scene::over(hsm.in_setup(Setup::embedded())?).await?;
    let order = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    let (_, request) = csr(&["a.localhost"])?;
    hsm.freeze().await?;
    scene.client.post(&order.finalize()?, &json!({ "csr": request })).await?.expect(200)?;
    eventually("a serial is reserved", LIMIT, async || {
        let events = scene.server.events().await?;
        Ok((count(&events, "CertificateReserved") == 1).then_some(()))
    })
    .await?;
    assert!(scene.server.stop().await? < STOP_LIMIT);

    scene.server.begin()?;
    // By then it listens to signals, and opens its CA.
    eventually("it starts", LIMIT, async || Ok(scene.server.ops("/readyz").await.ok())).await?;
    assert!(scene.server.stop().await? < STOP_LIMIT);
    Ok(())
}
