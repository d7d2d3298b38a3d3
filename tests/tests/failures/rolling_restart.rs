//! Every part of a cluster is restarted in turn, as Kubernetes does it, while clients go on issuing.

use std::{collections::BTreeSet, time::Duration};

use acceptance::{AccountKey, ChallengeServer, Cluster, Nats, RawClient, Setup, is_nightly};
use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    patient::{Met, Patient},
    story,
};

const CLIENTS: usize = 6;
/// How many more certificates each client gets before the next part is restarted.
const MORE: usize = 1;
/// How long a client may have to wait for them, whatever was under way when the part stopped.
const MORE_LIMIT: Duration = Duration::from_secs(25);
const ROUNDS: usize = 1;
const NIGHTLY_ROUNDS: usize = 6;

/// What is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Api(usize),
    Validator(usize),
    Signer,
    Projector,
    Nats(usize),
    Redis,
}

fn parts(cluster: &Cluster) -> Vec<Part> {
    let mut parts = vec![Part::Projector];
    parts.extend((0..cluster.validators.len()).map(Part::Validator));
    parts.extend((0..cluster.api.len()).map(Part::Api));
    parts.push(Part::Signer);
    parts.extend((0..cluster.nats.size()).map(Part::Nats));
    parts.push(Part::Redis);
    parts
}

async fn restart(cluster: &mut Cluster, part: Part) -> anyhow::Result<()> {
    let server = match part {
        Part::Api(number) => &mut cluster.api[number],
        Part::Validator(number) => &mut cluster.validators[number],
        Part::Signer => &mut cluster.workers,
        Part::Projector => &mut cluster.projector,
        Part::Nats(number) => {
            cluster.nats.stop(number).await?;
            return cluster.nats.restart(number).await;
        }
        Part::Redis => {
            cluster.redis.stop().await?;
            return cluster.redis.restart().await;
        }
    };
    server.stop().await?;
    server.start().await
}

async fn clients(cluster: &Cluster) -> anyhow::Result<Vec<Patient>> {
    let (directory, trust) = (cluster.directory_url(), cluster.trust());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let key = AccountKey::p256()?;
        // Some keep their connection, as cert-manager does; others come anew each time, as scripts do.
        let client = match number % 2 {
            0 => RawClient::connect(&directory, &trust, key).await?,
            _ => RawClient::connect_each_time(&directory, &trust, key).await?,
        };
        clients.push(Patient::new(client.with_account().await?, format!("c{number}")));
    }
    Ok(clients)
}

/// Restarts one part after the other, each when every client got on since the one before.
async fn restart_all(cluster: &mut Cluster, clients: &[Patient]) -> anyhow::Result<()> {
    let rounds = if is_nightly() { NIGHTLY_ROUNDS } else { ROUNDS };
    for part in (0..rounds).flat_map(|_| parts(cluster)).collect::<Vec<_>>() {
        let before: Vec<Met> = clients.iter().map(Patient::met).collect();
        restart(cluster, part).await.with_context(|| format!("{part:?} is not back"))?;
        let more = try_join_all(clients.iter().map(|client| client.until_more(MORE)));
        let more = timeout(MORE_LIMIT, more).await;
        more.with_context(|| format!("a client is stuck since {part:?} was restarted"))??;
        for (client, before) in clients.iter().zip(before) {
            let met = client.met() - before;
            let expected = match part {
                // Whoever is connected to the node connects to another one.
                Part::Api(_) => Met { unanswered: met.unanswered, ..Met::default() },
                Part::Validator(_) | Part::Signer | Part::Projector => Met::default(),
                Part::Nats(_) if cluster.nats.size() > 1 => Met::default(),
                Part::Nats(_) => Met { unavailable: met.unavailable, ..Met::default() },
                Part::Redis => Met { unanswered: 0, ..met },
            };
            ensure!(met == expected, "a client met {met:?} while {part:?} was restarted");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_order_is_lost_while_every_part_is_restarted_in_turn() -> anyhow::Result<()> {
    let nats = if is_nightly() { Nats::cluster().await? } else { Nats::single().await? };
    let web = ChallengeServer::start().await?;
    let setup = Setup::embedded().set("validation.http01_port", web.port());
    let mut cluster = Cluster::start_fleet(nats, setup.set("api.retry_after", "1s")).await?;
    let clients = clients(&cluster).await?;
    let stop = CancellationToken::new();
    let issuing = try_join_all(clients.iter().map(|client| client.issue_until(&stop, &web)));
    let restarting = async {
        restart_all(&mut cluster, &clients).await?;
        stop.cancel();
        Ok(())
    };
    tokio::try_join!(issuing, restarting)?;

    let (mut known, mut orders) = (BTreeSet::new(), 0);
    for client in &clients {
        let serials = client.check_orders().await?;
        orders += serials.len();
        known.extend(serials);
    }
    ensure!(known.len() == orders, "{orders} orders have {} certificates", known.len());
    let events = cluster.workers.events().await?;
    story::check(&events)?;
    story::check_told_once(&events)?;
    cluster.workers.operate(&["audit", "verify"]).await?.success()?;
    Ok(())
}
