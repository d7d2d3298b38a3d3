//! kill -9 under load, again and again.

use std::sync::Arc;

use acceptance::{RawClient, Scene, is_nightly};
use anyhow::{Context as _, ensure};
use futures::future::join_all;

use crate::{
    load::{Acknowledged, issue_until_it_fails, rank},
    story,
};

const CLIENTS: usize = 4;
/// How often the power is cut.
const ROUNDS: usize = 5;
const NIGHTLY_ROUNDS: usize = 30;
/// How much is acknowledged before the power is cut: at another step in each round.
const LEAST_ACKNOWLEDGED: usize = 10;

/// Every acknowledged order is where it was, or further.
async fn check_orders(client: &RawClient, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    for known in acknowledged.orders() {
        let now = client.read(&known.url).await?;
        let (before, after) = (rank(&known), rank(&now));
        ensure!(after >= before && after.is_some(), "{} became {}", known.body, now.body);
        if known.status() == "valid" {
            ensure!(now.body == known.body, "{} became {}", known.body, now.body);
            client.download(&now).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_issued_twice_when_the_power_is_cut()
-> anyhow::Result<()> {
    // Clients that poll see orders at more steps than those whose replies are held.
    let mut scene = Scene::with(|setup| setup.set("api.hold", "0")).await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push((Arc::new(scene.stranger().await?), Acknowledged::default()));
    }
    let rounds = if is_nightly() { NIGHTLY_ROUNDS } else { ROUNDS };
    for round in 0..rounds {
        let working = clients.iter().enumerate().map(async |(number, (client, acknowledged))| {
            let prefix = format!("r{round}c{number}");
            issue_until_it_fails(client, &scene.web, (acknowledged, &prefix)).await;
        });
        let cut = async {
            clients[round % CLIENTS].1.until_more(LEAST_ACKNOWLEDGED + round * 3).await?;
            scene.server.kill().await
        };
        let (_, cut) = tokio::join!(join_all(working), cut);
        cut?;
        scene.server.start().await?;
        for (client, acknowledged) in &clients {
            client.forget_nonces();
            let checked = check_orders(client, acknowledged).await;
            checked.with_context(|| format!("after power cut {round}"))?;
        }
        story::check(&scene.server.events().await?)?;
    }
    // What was finalized before a power cut is issued after it, without anybody asking again.
    for (client, acknowledged) in &clients {
        for order in acknowledged.orders() {
            if order.status() == "processing" {
                client.expect_status(&order.url, "valid").await?;
            }
        }
    }
    story::check(&scene.server.events().await?)?;
    scene.server.operate(&["audit", "verify"]).await?.success()?;
    Ok(())
}
