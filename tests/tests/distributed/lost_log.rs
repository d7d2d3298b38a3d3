//! All streams of a cluster are lost and there is no copy, or the signer's directory is: docs/operations.md says what to do, and
//! each part what it misses.

use std::time::Duration;

use acceptance::{Cluster, RawClient, Surroundings, documented, eventually, revoked, verify};
use anyhow::ensure;
use http::Method;
use serde_json::json;

use crate::town::Town;

const LIMIT: Duration = Duration::from_secs(20);
const HEADING: &str = "Loss of a cluster's log without a copy";

const OTHER_LOG: &str = "this redis database belongs to another event log";

/// A cluster that issued and revoked a certificate, is stopped, and has lost its log; with what is known of the certificate.
async fn lost() -> anyhow::Result<(Town, String, String)> {
    let (mut town, serial, crl) = stopped(Town::start().await?).await?;
    town.cluster.nats.lose(0).await?;
    Ok((town, serial, crl))
}

/// Issues and revokes a certificate, and stops everything but NATS and Redis.
async fn stopped(mut town: Town) -> anyhow::Result<(Town, String, String)> {
    let [client, _] = &town.at;
    let issued = client.issue(&["a.localhost"], &town.web).await?;
    let revocation = json!({ "certificate": issued.chain.leaf_base64url()? });
    client.post("revokeCert", &revocation).await?.expect(200)?;
    // Answered when Redis knows all that the log held.
    client.post_as_get(&format!("{}/orders", client.account()?)).await?.expect(200)?;
    let (serial, crl) = (issued.chain.serial()?, issued.chain.crl_url()?);
    until_on_crl(client, (&serial, &crl)).await?;
    let cluster = &mut town.cluster;
    for server in cluster.api.iter_mut().chain([&mut cluster.workers, &mut cluster.projector]) {
        server.stop().await?;
    }
    Ok((town, serial, crl))
}

async fn until_on_crl(client: &RawClient, (serial, url): (&str, &str)) -> anyhow::Result<()> {
    eventually("what was revoked is on the CRL", LIMIT, async || {
        let crl = client.request(Method::GET, url, None).await?;
        Ok((crl.status == 200 && revoked(&crl.body)?.contains_key(serial)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn the_operator_is_led_through_the_loss_and_nothing_that_was_revoked_is_forgotten()
-> anyhow::Result<()> {
    let (mut town, serial, crl) = lost().await?;
    let cluster = &mut town.cluster;
    let accept = ["ca", "accept-log", "--reason", "lost"];
    let revoke = ["revoke", serial.as_str(), "--reason", "superseded"];
    for command in [accept.as_slice(), &revoke, &["rebuild"]] {
        let refused = cluster.workers.operate(command).await?;
        let told = "start the signer, which creates it";
        ensure!(!refused.status.success() && refused.stderr.contains(told), "{}", refused.stderr);
    }
    let refused = cluster.workers.start_in_vain().await?;
    ensure!(!refused.status.success() && refused.stderr.contains(OTHER_LOG), "{}", refused.stderr);
    cluster.redis.flush().await?;
    let refused = cluster.workers.start_in_vain().await?;
    let told = "accept it as it is with certmill ca accept-log";
    ensure!(!refused.status.success() && refused.stderr.contains(told), "{}", refused.stderr);

    let surroundings = Surroundings::default().variable("REDIS_URL", cluster.redis.url());
    for block in documented(HEADING, "sh")? {
        let files = cluster.workers.files().to_owned();
        cluster.workers.follow(&block, &surroundings, &files).await?;
    }
    for server in [&mut cluster.workers, &mut cluster.projector].into_iter().chain(&mut cluster.api)
    {
        server.start().await?;
    }
    let client = town.at[0].at_node(town.cluster.api[0].port())?.with_account().await?;
    client.issue(&["b.localhost"], &town.web).await?;
    until_on_crl(&client, (&serial, &crl)).await
}

#[tokio::test]
async fn a_projector_tells_of_streams_that_are_lost_beneath_it() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let Cluster { nats, projector, .. } = &mut town.cluster;
    ensure!(projector.ops("/readyz").await?.is_success());
    nats.lose(0).await?;
    let told = "not ready part=\"streams\" reason=there is no stream certmill-";
    eventually("the projector says what is wrong", LIMIT, async || {
        Ok(projector.log()?.contains(told).then_some(()))
    })
    .await?;
    ensure!(!projector.ops("/readyz").await?.is_success());
    Ok(())
}

#[tokio::test]
async fn no_process_starts_on_the_redis_database_of_another_fleet() -> anyhow::Result<()> {
    let (town, ..) = lost().await?;
    let Cluster { api, workers, projector, .. } = &town.cluster;
    let mut answers = Vec::new();
    for server in api.iter().chain([workers, projector]) {
        answers.push(server.start_in_vain().await?);
    }
    answers.push(workers.operate(&["rebuild"]).await?);
    for answer in answers {
        ensure!(!answer.status.success() && answer.stderr.contains(OTHER_LOG), "{}", answer.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_projector_whose_log_was_put_back_says_so_until_the_read_model_is_rebuilt()
-> anyhow::Result<()> {
    let mut town = Town::start().await?;
    let copy = town.cluster.nats.copy(0).await?;
    let (mut town, ..) = stopped(town).await?;
    town.cluster.nats.put_back(0, copy.path()).await?;
    let (projector, workers) = (&mut town.cluster.projector, &town.cluster.workers);
    let log = projector.files().join("projector.log");
    let (started, rebuilt) = tokio::join!(projector.start(), async {
        eventually("the projector says what is wrong", LIMIT, async || {
            let told = "the read model is newer than the event log";
            Ok(std::fs::read_to_string(&log)?.contains(told).then_some(()))
        })
        .await?;
        workers.operate(&["rebuild"]).await?.success()
    });
    rebuilt?;
    started
}

#[tokio::test]
async fn a_signer_whose_directory_was_lost_does_not_make_another_ca() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    town.at[0].issue(&["a.localhost"], &town.web).await?;
    let signer = &mut town.cluster.workers;
    signer.stop().await?;
    let (data_dir, kept) = (signer.data_dir(), signer.files().join("kept"));
    std::fs::rename(&data_dir, &kept)?;
    let refused = signer.start_in_vain().await?;
    let told = "the log holds certificates, but their CA is not in";
    ensure!(!refused.status.success() && refused.stderr.contains(told), "{}", refused.stderr);
    ensure!(!data_dir.join("ca").exists(), "a CA was made");

    // Another one is the operator's decision.
    signer.operate(&["ca", "root", "--name", "Another Root"]).await?.success()?;
    signer.operate(&["ca", "intermediate", "--name", "Another CA"]).await?.success()?;
    signer.start().await?;
    let issued = town.at[0].issue(&["b.localhost"], &town.web).await?;
    verify(&issued.chain, &signer.root()).await.map(drop)
}
