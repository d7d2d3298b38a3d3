//! How long a nonce is good.

use std::time::{Duration, Instant};

use acceptance::{RawClient, Scene, until};

/// A nonce knows the minute of its making and not the second, so that one of a minute's validity is gone by then.
const GONE_AFTER: Duration = Duration::from_mins(2);
const LIMIT: Duration = Duration::from_secs(150);

/// The protected header of a request that reads the account, with a nonce that is new.
async fn prepared(client: &RawClient) -> anyhow::Result<serde_json::Value> {
    client.forget_nonces();
    client.protected(client.account()?).await
}

#[tokio::test]
#[ignore = "waits for two minutes: make nightly"]
async fn a_nonce_is_good_as_long_as_it_is_configured_and_then_replaced() -> anyhow::Result<()> {
    let short = Scene::with(|setup| setup.set("api.nonce_validity", "1m")).await?;
    let long = Scene::with(|setup| setup.set("api.nonce_validity", "5m")).await?;
    let old = prepared(&short.client).await?;
    let kept = prepared(&long.client).await?;
    let made = Instant::now();
    until("the nonces are too old", LIMIT, async || made.elapsed() > GONE_AFTER).await?;

    short.client.forget_nonces();
    let account = short.client.account()?;
    let refused = short.client.send_jws(account, &short.client.key().sign(&old, b"")?).await?;
    refused.refused((400, "badNonce"))?;
    // The nonce of the refusal is the only one this client has.
    short.client.post_as_get(account).await?.expect(200)?;

    let account = long.client.account()?;
    long.client.send_jws(account, &long.client.key().sign(&kept, b"")?).await?.expect(200)?;
    Ok(())
}
