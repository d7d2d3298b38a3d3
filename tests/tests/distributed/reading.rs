//! What was written through one node is read through the other at once, without anybody's help.

use std::time::Duration;

use acceptance::{RawClient, eventually};
use anyhow::ensure;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use crate::town::Town;

/// How many reads there are at least.
const READS: usize = 10_000;
/// Order, authorization, three challenges, account.
const READS_PER_ROUND: usize = 6;
const AT_ONCE: usize = 8;
/// How long the projector may take to see that Redis forgot.
const LIMIT: Duration = Duration::from_secs(20);

/// Writes through one node and reads all of it through the other.
async fn round(town: &Town, number: usize) -> anyhow::Result<usize> {
    let (writer, reader) = (&town.at[number % 2], &town.at[(number + 1) % 2]);
    let placed = writer.place(&[&format!("read-{number}.localhost")]).await?;
    let read = reader.read(&placed.url).await?;
    ensure!(read.body == placed.body, "{} instead of {}", read.body, placed.body);
    let mut reads = 1;
    for authorization in placed.authorizations() {
        let body = reader.post_as_get(&authorization).await?.expect(200)?.json()?;
        reads += 1;
        for challenge in body["challenges"].as_array().into_iter().flatten() {
            let url = challenge["url"].as_str().unwrap_or_default();
            let read = reader.post_as_get(url).await?.expect(200)?.json()?;
            ensure!(read == *challenge, "{read} instead of {challenge}");
            reads += 1;
        }
    }
    Ok(reads)
}

/// Writes the account through one node and reads it through the other; one after the other, because there is one.
async fn rename(writer: &RawClient, reader: &RawClient, number: usize) -> anyhow::Result<usize> {
    let account = writer.account()?;
    let contact = json!([format!("mailto:a{number}@example.com")]);
    writer.post(account, &json!({ "contact": contact })).await?.expect(200)?;
    let read = reader.post_as_get(account).await?.expect(200)?.json()?;
    ensure!(read["contact"] == contact, "{read} instead of {contact}");
    Ok(1)
}

#[tokio::test]
async fn ten_thousand_reads_through_the_other_node_miss_nothing_without_a_projector()
-> anyhow::Result<()> {
    let mut town = Town::start().await?;
    town.cluster.projector.stop().await?;
    let rounds = READS.div_ceil(READS_PER_ROUND);
    let orders = stream::iter(0..rounds).map(|number| round(&town, number));
    let orders = orders.buffer_unordered(AT_ONCE).try_fold(0, async |sum, reads| Ok(sum + reads));
    let accounts = stream::iter(0..rounds)
        .map(Ok)
        .and_then(|number| rename(&town.at[number % 2], &town.at[(number + 1) % 2], number))
        .try_fold(0, async |sum, reads| Ok(sum + reads));
    let (orders, accounts) = tokio::try_join!(orders, accounts)?;
    assert_eq!(orders + accounts, rounds * READS_PER_ROUND);
    Ok(())
}

#[tokio::test]
async fn a_status_never_steps_back_whichever_node_is_asked() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    town.cluster.projector.stop().await?;
    for number in 0..20 {
        let name = format!("step-{number}.localhost");
        let (one, other) = (&town.at[number % 2], &town.at[(number + 1) % 2]);
        let order = one.place(&[&name]).await?;
        one.prove(&order, &town.web).await?;
        assert_eq!(other.read(&order.url).await?.status(), "ready");
        let issued = one.finalize(&order, &[&name]).await?;
        let seen = other.read(&order.url).await?;
        assert_eq!(seen.body, issued.order.body);
        assert_eq!(other.download(&seen).await?.pem(), issued.chain.pem());
    }
    Ok(())
}

#[tokio::test]
async fn a_list_of_orders_has_the_newest_one_or_is_not_given() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let [one, other] = &town.at;
    let orders = format!("{}/orders", one.account()?);
    let mut placed = Vec::new();
    for number in 0..3 {
        placed.push(one.place(&[&format!("list-{number}.localhost")]).await?.url);
        let listed = other.post_as_get(&orders).await?.expect(200)?.json()?;
        assert_eq!(listed["orders"], json!(placed));
    }
    town.cluster.projector.stop().await?;
    one.place(&["late.localhost"]).await?;
    let reply = other.post_as_get(&orders).await?.expect(503)?;
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    town.cluster.projector.start().await?;
    let listed = one.post_as_get(&orders).await?.expect(200)?.json()?;
    assert_eq!(listed["orders"].as_array().map(Vec::len), Some(4));
    Ok(())
}

#[tokio::test]
async fn what_only_an_index_knows_is_answered_again_after_redis_forgot_it_while_nothing_happened()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    let [client, _] = &town.at;
    let issued = client.issue(&["quiet.localhost"], &town.web).await?;
    let orders = format!("{}/orders", client.account()?);
    client.post_as_get(&orders).await?.expect(200)?;
    town.cluster.redis.flush().await?;
    let listed = eventually("the orders are listed", LIMIT, async || {
        let reply = client.post_as_get(&orders).await?;
        Ok((reply.status == 200).then_some(reply))
    })
    .await?;
    assert_eq!(listed.json()?["orders"], json!([issued.order.url]));
    let revocation = json!({ "certificate": issued.chain.leaf_base64url()? });
    client.post("revokeCert", &revocation).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_operator_who_knows_of_fewer_order_streams_is_shown_all_events() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    for number in 0..8 {
        town.at[0].place(&[&format!("{number}.localhost")]).await?;
    }
    town.cluster.workers.configure("event_log.order_shards", 1);
    let events = town.cluster.workers.events().await?;
    let placed = events.iter().filter(|event| event["type"] == "OrderPlaced").count();
    ensure!(placed == 8, "{placed} of 8 orders are shown");
    Ok(())
}

#[tokio::test]
async fn events_are_listed_from_a_time_on() -> anyhow::Result<()> {
    let town = Town::start().await?;
    for (client, name) in town.at.iter().zip(["a.localhost", "b.localhost"]) {
        client.issue(&[name], &town.web).await?;
    }
    town.cluster.workers.lists_events_from_each_time_on().await
}

#[tokio::test]
async fn a_foreign_certificate_is_refused_right_after_another_was_issued() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let [issuing, revoking] = &town.at;
    let foreign = rcgen::generate_simple_self_signed(["a.localhost".to_owned()])?;
    let foreign = BASE64_URL_SAFE_NO_PAD.encode(foreign.cert.der());
    issuing.issue(&["a.localhost"], &town.web).await?;
    let refused = revoking.post("revokeCert", &json!({ "certificate": foreign })).await?;
    refused.refused((403, "unauthorized"))?;
    Ok(())
}
