//! Three nats-servers that sync before they acknowledge: one of them may go at any time.

use std::time::Duration;

use acceptance::{Cluster, eventually};

use crate::town::Town;

/// How long it may take until a new leader is elected for every stream.
const ELECTION_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn certificates_are_issued_while_any_one_of_three_servers_is_away() -> anyhow::Result<()> {
    let mut town = Town::with(Cluster::start_replicated).await?;
    let first = town.at[0].issue(&["first.localhost"], &town.web).await?;
    for number in 0..3 {
        town.cluster.nats.kill(number).await?;
        let name = format!("without-{number}.localhost");
        let issued = eventually("a certificate is issued", ELECTION_LIMIT, async || {
            // Orders that met a stream without a leader are given up and placed again, as a client does.
            Ok(town.at[number % 2].issue(&[&name], &town.web).await.ok())
        })
        .await?;
        town.cluster.nats.restart(number).await?;
        let seen = town.at[(number + 1) % 2].read(&issued.order.url).await?;
        assert_eq!(seen.status(), "valid");
    }
    assert_eq!(town.at[1].read(&first.order.url).await?.status(), "valid");
    town.cluster.workers.operate(&["audit", "verify"]).await?.success()?;
    Ok(())
}
