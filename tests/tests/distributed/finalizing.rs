//! Many finalizes of one order meet at one compare-and-set, and one that is repeated is answered like the first.

use std::collections::{BTreeMap, BTreeSet};

use acceptance::csr;
use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use serde_json::json;

use crate::town::Town;

const ORDERS: usize = 100;
const FINALIZES: usize = 16;
/// How many orders are worked on at a time.
const AT_ONCE: usize = 4;

/// Places and proves one order and finalizes it from all sides, each time with another key.
async fn race(town: &Town, number: usize) -> anyhow::Result<()> {
    let name = format!("race-{number}.localhost");
    let order = town.at[number % 2].ready_order(&[&name], &town.web).await?;
    let finalize = async |turn: usize| {
        let payload = json!({ "csr": csr(&[&name])?.1 });
        let reply = town.at[turn % 2].post(&order.finalize()?, &payload).await?;
        match reply.status {
            200 => Ok(true),
            403 if reply.problem_type()? == "orderNotReady" => Ok(false),
            _ => anyhow::bail!("{} {}", reply.status, reply.text()),
        }
    };
    let accepted = try_join_all((0..FINALIZES).map(finalize)).await?;
    let accepted = accepted.into_iter().filter(|accepted| *accepted).count();
    ensure!(accepted == 1, "{accepted} finalizes with different keys were accepted");
    let order = town.at[(number + 1) % 2].expect_status(&order.url, "valid").await?;
    town.at[number % 2].download(&order).await?;
    Ok(())
}

#[tokio::test]
async fn sixteen_finalizes_of_each_of_a_hundred_orders_make_a_hundred_certificates()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    let races = stream::iter(0..ORDERS).map(|number| race(&town, number));
    races.buffer_unordered(AT_ONCE).try_collect::<()>().await?;

    let events = town.cluster.workers.events().await?;
    let mut certificates: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["type"] == "CertificateSigned") {
        let (order, serial) = (event["data"]["order"].as_str(), event["data"]["serial"].as_str());
        // The CA's own server certificate is on nobody's order.
        let (Some(order), Some(serial)) = (order, serial) else { continue };
        certificates.entry(order).or_default().insert(serial);
    }
    assert_eq!(certificates.len(), ORDERS);
    assert!(certificates.values().all(|serials| serials.len() == 1), "{certificates:?}");
    let finalized = events.iter().filter(|event| event["type"] == "OrderFinalized").count();
    assert_eq!(finalized, ORDERS);
    Ok(())
}

#[tokio::test]
async fn a_repeated_finalize_is_answered_though_the_read_model_does_not_know_of_the_first()
-> anyhow::Result<()> {
    let mut town = Town::start().await?;
    // It would write the view.
    town.cluster.projector.stop().await?;
    let name = "again.localhost";
    let order = town.at[0].ready_order(&[name], &town.web).await?;
    let id = order.url.rsplit('/').next().unwrap_or_default();
    let (view, kept) = (format!("certmill:order:{id}"), "kept-by-the-test");
    town.cluster.redis.copy(&view, kept).await?;
    let payload = json!({ "csr": csr(&[name])?.1 });
    town.at[0].post(&order.finalize()?, &payload).await?.expect(200)?;
    town.at[0].expect_status(&order.url, "valid").await?;

    // As if whoever finalized the order had ended before it was written there.
    town.cluster.redis.copy(kept, &view).await?;
    assert_eq!(town.at[1].read(&order.url).await?.status(), "ready");
    let repeated = town.at[1].post(&order.finalize()?, &payload).await?.expect(200)?.json()?;
    assert_eq!(repeated["status"], "valid");
    town.at[0].expect_status(&order.url, "valid").await?;
    Ok(())
}
