//! Nonces of one node are good at the other, once, and die with the memory of which were spent.

use acceptance::{RawClient, Refused};
use serde_json::{Value, json};

use crate::town::Town;

const BAD_NONCE: Refused = (400, "badNonce");
const SPENT: usize = 50;

/// Requests that were answered, with the URL they were sent to: sent again, each must be refused.
async fn spent(client: &RawClient) -> anyhow::Result<Vec<(String, Value)>> {
    let url = client.account()?.to_owned();
    let mut spent = Vec::new();
    for _ in 0..SPENT {
        let jws = client.key().sign(&client.protected(&url).await?, b"")?;
        client.send_jws(&url, &jws).await?.expect(200)?;
        spent.push((url.clone(), jws));
    }
    Ok(spent)
}

/// Sends requests again, to each node, and expects every one to be refused.
async fn refused_everywhere(town: &Town, requests: &[(String, Value)]) -> anyhow::Result<()> {
    for (url, jws) in requests {
        for node in &town.at {
            node.send_jws(url, jws).await?.refused(BAD_NONCE)?;
        }
    }
    Ok(())
}

/// Requests that were signed but not sent yet.
async fn unsent(client: &RawClient) -> anyhow::Result<Vec<(String, Value)>> {
    let url = client.account()?.to_owned();
    let mut unsent = Vec::new();
    for _ in 0..SPENT {
        let protected = client.protected(&url).await?;
        unsent.push((url.clone(), client.key().sign(&protected, b"")?));
    }
    Ok(unsent)
}

#[tokio::test]
async fn a_nonce_of_one_node_is_good_at_the_other_once() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let [a, b] = &town.at;
    for (url, jws) in unsent(a).await? {
        b.send_jws(&url, &jws).await?.expect(200)?;
        a.send_jws(&url, &jws).await?.refused(BAD_NONCE)?;
    }
    Ok(())
}

#[tokio::test]
async fn no_request_is_accepted_again_after_redis_forgot_everything() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let mut requests = spent(&town.at[0]).await?;
    requests.extend(unsent(&town.at[0]).await?);
    town.cluster.redis.flush().await?;
    refused_everywhere(&town, &requests).await?;
    // And a client that asks for a nonce goes on.
    for node in &town.at {
        node.forget_nonces();
        node.place(&["after.localhost"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn no_request_is_accepted_again_after_redis_restarted() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let mut requests = spent(&town.at[0]).await?;
    requests.extend(unsent(&town.at[0]).await?);
    town.cluster.redis.kill().await?;
    town.cluster.redis.restart().await?;
    // Either node may notice only now that its connection is gone.
    town.until_served().await?;
    refused_everywhere(&town, &requests).await?;
    town.at[0].forget_nonces();
    town.at[0].place(&["after.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn no_request_is_accepted_again_after_an_api_node_restarted() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let requests = spent(&town.at[0]).await?;
    for node in &mut town.cluster.api {
        node.stop().await?;
        node.start().await?;
    }
    refused_everywhere(&town, &requests).await?;
    town.at[0].forget_nonces();
    let reply = town.at[0].post(town.at[0].account()?, &json!({})).await?;
    reply.expect(200)?;
    Ok(())
}
