//! Three nats-servers that sync before they acknowledge: one of them may go at any time.

use acceptance::Cluster;
use anyhow::Context as _;

use crate::town::Town;

#[tokio::test]
async fn certificates_are_issued_while_any_one_of_three_servers_is_away() -> anyhow::Result<()> {
    let mut town = Town::with(Cluster::start_replicated).await?;
    let first = town.at[0].issue(&["first.localhost"], &town.web).await?;
    for number in 0..3 {
        town.cluster.nats.kill(number).await?;
        let name = format!("without-{number}.localhost");
        // At once and without a second attempt, although the others have not elected yet.
        let issued = town.at[number % 2].issue(&[&name], &town.web).await;
        let issued = issued.with_context(|| format!("without server {number}"))?;
        town.cluster.nats.restart(number).await?;
        let seen = town.at[(number + 1) % 2].read(&issued.order.url).await?;
        assert_eq!(seen.status(), "valid");
    }
    assert_eq!(town.at[1].read(&first.order.url).await?.status(), "valid");
    town.cluster.workers.operate(&["audit", "verify"]).await?.success()?;
    Ok(())
}
