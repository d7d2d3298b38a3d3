//! Keys for external accounts are the same to every node, and so is that one was used or disabled.

use acceptance::{AccountKey, ChallengeServer, Cluster, OperatorKey, RawClient, Setup};
use anyhow::ensure;
use futures::future::try_join_all;
use serde_json::{Value, json};

const REQUIRED: &str = r#"[{name="default", external_account_required=true}]"#;

/// A cluster whose accounts must be bound.
async fn cluster(operator: &OperatorKey, web: &ChallengeServer) -> anyhow::Result<Cluster> {
    let setup = operator.configure(Setup::embedded()).set("profile", REQUIRED);
    Cluster::start(setup.set("validation.http01_port", web.port())).await
}

/// A client without an account, at one of the nodes.
async fn newcomer(cluster: &Cluster, node: usize) -> anyhow::Result<RawClient> {
    let (directory, trust) = (cluster.directory_url(), cluster.trust());
    let client = RawClient::connect(&directory, &trust, AccountKey::p256()?).await?;
    client.at_node(cluster.api[node % cluster.api.len()].port())
}

fn binding(client: &RawClient, key: &acceptance::ExternalKey) -> anyhow::Result<Value> {
    let protected = key.protected("HS256", &client.url("newAccount")?);
    Ok(json!({ "externalAccountBinding": key.bind(&protected, client.key())? }))
}

#[tokio::test]
async fn of_accounts_at_all_nodes_that_want_a_one_time_key_one_gets_it_and_issues()
-> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let cluster = cluster(&operator, &web).await?;
    // The command goes to the log, whichever process it is run beside.
    let key = cluster.workers.external_key(&[]).await?;
    let attempts = (0..8).map(async |node| {
        let client = newcomer(&cluster, node).await?;
        let reply = client.post("newAccount", &binding(&client, &key)?).await?;
        match reply.status {
            201 => Ok(Some(client.with_account_at(reply.location()?))),
            403 => reply.refused((403, "unauthorized")).map(|_| None),
            status => anyhow::bail!("{status}: {}", reply.text()),
        }
    });
    let mut bound: Vec<RawClient> = try_join_all(attempts).await?.into_iter().flatten().collect();
    ensure!(bound.len() == 1, "{} accounts have a key for one", bound.len());
    bound.remove(0).issue(&["a.localhost"], &web).await?;
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_disabled_binds_nobody_at_any_node() -> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let cluster = cluster(&operator, &web).await?;
    let key = cluster.workers.external_key(&["--reusable"]).await?;
    for node in 0..cluster.api.len() {
        let client = newcomer(&cluster, node).await?;
        client.post("newAccount", &binding(&client, &key)?).await?.expect(201)?;
    }
    cluster.workers.operate(&["eab", "disable", &key.kid]).await?.success()?;
    for node in 0..cluster.api.len() {
        let client = newcomer(&cluster, node).await?;
        let reply = client.post("newAccount", &binding(&client, &key)?).await?;
        reply.refused((403, "unauthorized"))?;
    }
    Ok(())
}
