//! What the processes of a cluster log never holds the passwords that they connect with, nor what passes between them.

use acceptance::{Cluster, Nats, RedisServer, Secrets};

use crate::town::Town;

const NATS_PASSWORD: &str = "nats-correct-horse";
const REDIS_PASSWORD: &str = "redis-battery-staple";

#[tokio::test]
async fn nothing_that_is_secret_is_in_the_logs_of_a_cluster() -> anyhow::Result<()> {
    let nats = Nats::single_behind(NATS_PASSWORD).await?;
    let redis = RedisServer::start_behind(REDIS_PASSWORD).await?;
    let mut town = Town::with(async |setup| {
        Cluster::start_on(nats, redis, setup.set("telemetry.log_filter", "trace")).await
    })
    .await?;
    town.at[0].issue(&["a.localhost"], &town.web).await?;
    // What is out of reach is complained about.
    town.cluster.redis.kill().await?;
    town.at[0].forget_nonces();
    town.at[0].post_as_get(town.at[0].account()?).await.ok();
    town.cluster.nats.kill(0).await?;
    town.at[1].post_as_get(town.at[1].account()?).await.ok();
    town.cluster.redis.restart().await?;
    town.cluster.nats.restart(0).await?;
    town.until_served().await?;
    town.at[1].issue(&["b.localhost"], &town.web).await?;

    let mut secrets = Secrets::default();
    town.at.iter().for_each(|client| secrets.add_client(client));
    secrets.add_challenges(&town.web)?;
    secrets.add("NATS password", NATS_PASSWORD);
    secrets.add("Redis password", REDIS_PASSWORD);
    assert!(secrets.count("token") >= 2 && secrets.count("nonce") >= 10);
    let Cluster { api, workers, projector, .. } = &town.cluster;
    assert!(api[0].log()?.contains("TRACE"), "the log is not verbose");
    for server in api.iter().chain([workers, projector]) {
        let leaked = secrets.found_in(&server.log()?);
        assert!(leaked.is_empty(), "{leaked:#?}");
    }
    Ok(())
}
