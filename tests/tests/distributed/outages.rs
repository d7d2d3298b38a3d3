//! What clients see while a part is away: 503 with Retry-After, and afterwards everything as it was.

use std::time::{Duration, Instant};

use acceptance::{Cluster, Reply, Setup, eventually};
use anyhow::ensure;
use serde_json::json;

use crate::town::Town;

/// How long it may take until a part that came back is used again.
const RETURN_LIMIT: Duration = Duration::from_secs(40);

impl Town {
    /// Waits until both nodes answer signed requests again.
    pub(crate) async fn until_served(&self) -> anyhow::Result<()> {
        for node in &self.at {
            eventually("the node serves requests again", RETURN_LIMIT, async || {
                node.forget_nonces();
                let Ok(reply) = node.post_as_get(node.account()?).await else { return Ok(None) };
                unavailable_or(&reply, 200)
            })
            .await?;
        }
        Ok(())
    }
}

impl Town {
    /// Does what every client does after a refused nonce: tries again with the one of the refusal, which must be good.
    async fn retry_once(&self) -> anyhow::Result<()> {
        for node in &self.at {
            node.forget_nonces();
            let reply = node.post_as_get(node.account()?).await?;
            if reply.status != 200 {
                reply.refused((400, "badNonce"))?;
                node.post_as_get(node.account()?).await?.expect(200)?;
            }
        }
        Ok(())
    }
}

/// Whether a reply has the status expected; anything else but being told to come back is a failure.
fn unavailable_or(reply: &Reply, status: u16) -> anyhow::Result<Option<()>> {
    if reply.status == status {
        return Ok(Some(()));
    }
    let bad_nonce = reply.status == 400 && reply.problem_type()? == "badNonce";
    if !bad_nonce {
        ensure!(reply.status == 503, "{} {}", reply.status, reply.text());
        ensure!(reply.header("retry-after").is_some(), "no Retry-After: {:?}", reply.headers);
    }
    Ok(None)
}

#[tokio::test]
async fn without_redis_requests_are_asked_to_come_back() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let order = town.at[0].ready_order(&["a.localhost"], &town.web).await?;
    let account = town.at[0].account()?.to_owned();
    let protected = town.at[0].protected(&account).await?;
    let jws = town.at[0].key().sign(&protected, b"")?;
    town.cluster.redis.kill().await?;
    let reply = town.at[0].send_jws(&account, &jws).await?;
    assert_eq!((reply.status, reply.problem_type()?), (503, "serverInternal".into()));
    assert!(reply.header("retry-after").is_some());

    town.cluster.redis.restart().await?;
    town.until_served().await?;
    // Redis came back empty: the log knows.
    assert_eq!(town.at[1].read(&order.url).await?.status(), "ready");
    town.at[1].finalize(&order, &["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn who_waits_for_the_log_is_asked_to_come_back_when_its_node_stops() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let [client, _] = &town.at;
    client.post_as_get(client.account()?).await?.expect(200)?;
    town.cluster.nats.pause(0).await?;
    let identifiers = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
    let asking = client.post("newOrder", &identifiers);
    let (reply, stopped) = tokio::join!(asking, town.cluster.api[0].stop());
    ensure!(unavailable_or(&reply?, 201)?.is_none(), "an order was placed without the log");
    stopped.map(drop)
}

#[tokio::test]
async fn a_held_reply_says_what_was_accepted_though_redis_goes_away_meanwhile() -> anyhow::Result<()>
{
    let mut town = Town::start().await?;
    let order = town.at[0].place(&["a.localhost"]).await?;
    let challenge = town.at[0].challenge(&order.authorizations()[0], "http-01").await?;
    let token = challenge["token"].as_str().unwrap_or_default();
    town.web.answer(token, &town.at[0].key().key_authorization(token))?;
    town.web.close_gate();
    let url = challenge["url"].as_str().unwrap_or_default();
    let response = json!({});
    let (reply, killed) = tokio::join!(town.at[0].post(url, &response), async {
        let node = &town.cluster.api[0];
        eventually("the reply is held", RETURN_LIMIT, async || {
            Ok((node.metric("certmill_replies_held").await? > 0.0).then_some(()))
        })
        .await?;
        town.cluster.redis.kill().await
    });
    killed?;
    let reply = reply?.expect(200)?;
    assert_eq!(reply.json()?["status"], "processing");
    assert!(reply.header("retry-after").is_some());

    town.cluster.redis.restart().await?;
    town.web.open_gate();
    town.until_served().await?;
    town.at[1].expect_status(&order.url, "ready").await?;
    Ok(())
}

#[tokio::test]
async fn without_nats_requests_are_asked_to_come_back() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let order = town.at[0].ready_order(&["a.localhost"], &town.web).await?;
    town.cluster.nats.kill(0).await?;
    let new_order = json!({ "identifiers": [{ "type": "dns", "value": "b.localhost" }] });
    let reply = town.at[0].post("newOrder", &new_order).await?;
    assert_eq!((reply.status, reply.problem_type()?), (503, "serverInternal".into()));
    assert!(reply.header("retry-after").is_some());
    // What the read model knows is still readable.
    assert_eq!(town.at[1].read(&order.url).await?.status(), "ready");

    town.cluster.nats.restart(0).await?;
    let again = eventually("orders are placed again", RETURN_LIMIT, async || {
        let reply = town.at[0].post("newOrder", &new_order).await?;
        unavailable_or(&reply, 201)
    });
    again.await?;
    town.at[1].finalize(&order, &["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_log_that_hangs_keeps_no_request_for_longer_than_is_configured() -> anyhow::Result<()> {
    let quick = |setup: Setup| setup.set("api.hold", "0").set("api.request_timeout", "1s");
    let town = Town::configured(quick).await?;
    town.cluster.nats.pause(0).await?;
    let started = Instant::now();
    let new_order = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
    let reply = town.at[0].post("newOrder", &new_order).await?;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    reply.refused((503, "serverInternal"))?;
    assert!(reply.header("retry-after").is_some());
    Ok(())
}

#[tokio::test]
async fn a_node_that_starts_before_nats_and_redis_waits_for_them() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let Cluster { api, nats, redis, .. } = &mut town.cluster;
    let node = &mut api[1];
    node.stop().await?;
    nats.kill(0).await?;
    redis.kill().await?;
    let log = node.files().join("api-b.log");
    let waits = async |what: &str| {
        let line = format!("waiting for {what}");
        let looking = eventually("the node says what it waits for", RETURN_LIMIT, async || {
            Ok(std::fs::read_to_string(&log)?.contains(&line).then_some(()))
        });
        looking.await
    };
    let (started, others) = tokio::join!(node.start(), async {
        waits("the event log").await?;
        nats.restart(0).await?;
        waits("the read model").await?;
        redis.restart().await
    });
    others?;
    started?;
    town.until_served().await
}

#[tokio::test]
async fn an_order_goes_on_where_killed_workers_left_it() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let order = town.at[0].place(&["a.localhost"]).await?;
    let challenge = town.at[0].challenge(&order.authorizations()[0], "http-01").await?;
    let token = challenge["token"].as_str().unwrap_or_default();
    town.web.answer(token, &town.at[0].key().key_authorization(token))?;
    // A validator takes the challenge and dies while it waits for the applicant.
    town.web.close_gate();
    let url = challenge["url"].as_str().unwrap_or_default();
    let response = json!({});
    let (reply, killed) = tokio::join!(town.at[0].post(url, &response), async {
        town.web.until_asked(1).await?;
        town.cluster.workers.kill().await
    });
    reply?.expect(200)?;
    killed?;
    town.web.open_gate();
    town.cluster.workers.start().await?;
    let limit = Duration::from_secs(90);
    let proven = eventually("the challenge is validated after all", limit, async || {
        let order = town.at[1].read(&order.url).await?;
        Ok((order.status() == "ready").then_some(order))
    });
    town.at[1].finalize(&proven.await?, &["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn the_read_model_is_rebuilt_from_nothing_while_traffic_goes_on() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let before = town.at[0].issue(&["a.localhost"], &town.web).await?;
    town.cluster.redis.flush().await?;
    town.retry_once().await?;
    let rebuilt = town.cluster.projector.operate(&["rebuild"]).await?;
    rebuilt.success()?;
    // A rebuild ends the epoch, and with it the nonces given out before.
    town.retry_once().await?;
    let meanwhile = town.at[1].issue(&["b.localhost"], &town.web).await?;
    for issued in [&before, &meanwhile] {
        assert_eq!(town.at[0].read(&issued.order.url).await?.status(), "valid");
        let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
        let revoked = eventually("the index is complete again", RETURN_LIMIT, async || {
            let reply = town.at[1].post("revokeCert", &payload).await?;
            unavailable_or(&reply, 200)
        });
        revoked.await?;
    }
    Ok(())
}
