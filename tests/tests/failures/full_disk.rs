//! A disk without room: what was acknowledged is there, what cannot be kept is refused, and all goes on once there is
//! room again.

use std::{fs::File, io::Write as _, path::Path, time::Duration};

use acceptance::{ChallengeServer, Order, RawClient, Refused, Setup, csr, eventually, run};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

const DISK_BYTES: u64 = 24 << 20;
/// What the log may still take without asking the disk for more.
const MAX_ORDERS: usize = 5_000;
/// The server's own trouble, which may pass.
const UNAVAILABLE: Refused = (503, "serverInternal");
/// How soon orders are taken once there is room.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_full_disk_loses_nothing_and_serves_what_is_there() -> anyhow::Result<()> {
    if !can_mount().await? {
        return Ok(());
    }
    let web = ChallengeServer::start().await?;
    let setup = Setup::embedded().disk_of("", DISK_BYTES);
    let mut server = setup.set("validation.http01_port", web.port()).start().await?;
    let disk = server.inside()?;
    let root = disk.join("ca/root.pem");
    let client = RawClient::register(&server.directory_url(), &root).await?;
    let issued = client.issue(&["before.localhost"], &web).await?;
    let ready = client.ready_order(&["ready.localhost"], &web).await?;

    let filler = disk.join("filler");
    fill(&filler)?;
    let acknowledged = orders_until_refused(&client).await?;
    let csr = json!({ "csr": csr(&["ready.localhost"])?.1 });
    client.post(&ready.finalize()?, &csr).await?.refused(UNAVAILABLE)?;
    let revocation = json!({ "certificate": issued.chain.leaf_base64url()? });
    client.post("revokeCert", &revocation).await?.refused(UNAVAILABLE)?;
    client.download(&issued.order).await?;
    for order in &acknowledged {
        client.post_as_get(&order.url).await?.expect(200)?;
    }

    std::fs::remove_file(&filler)?;
    eventually("orders are taken again", RECOVERY_LIMIT, async || {
        let reply = client.post("newOrder", &order_of("after.localhost")).await?;
        Ok((reply.status == 201).then_some(()))
    })
    .await?;
    client.finalize(&ready, &["ready.localhost"]).await?;
    client.post("revokeCert", &revocation).await?.expect(200)?;
    server.stop().await.map(drop)
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_ends_the_server_and_loses_no_order() -> anyhow::Result<()>
{
    if !can_mount().await? {
        return Ok(());
    }
    let web = ChallengeServer::start().await?;
    let setup = Setup::embedded().disk_of("signer", DISK_BYTES);
    let mut server = setup.set("validation.http01_port", web.port()).start().await?;
    let client = RawClient::register(&server.directory_url(), &server.root()).await?;
    fill(&server.inside()?.join("signer/filler"))?;
    // The journal's file has room for some hundreds.
    let mut finalized = Vec::new();
    while let Ok(order) = client.ready_order(&["ready.localhost"], &web).await {
        let payload = json!({ "csr": csr(&["ready.localhost"])?.1 });
        finalized.push(order.url.clone());
        if client.post(&order.finalize()?, &payload).await.is_err() {
            break;
        }
    }
    let log = server.ended().await?;
    assert!(log.contains("the journal cannot be written: look after its disk"), "{log}");

    server.without_own_disk();
    server.start().await?;
    client.forget_nonces();
    for url in finalized {
        // The last finalize may not have reached the log.
        if client.read(&url).await?.status() == "ready" {
            continue;
        }
        let valid = client.expect_status(&url, "valid").await?;
        client.download(&valid).await?;
    }
    Ok(())
}

/// Places orders until one is refused, which must be said to be the server's trouble and to pass.
async fn orders_until_refused(client: &RawClient) -> anyhow::Result<Vec<Order>> {
    let mut placed = Vec::new();
    for number in 0..MAX_ORDERS {
        let reply = client.post("newOrder", &order_of(&format!("n{number}.localhost"))).await?;
        if reply.status != 201 {
            reply.refused(UNAVAILABLE)?;
            assert!(reply.header("retry-after").is_some(), "no word of when to come again");
            return Ok(placed);
        }
        placed.push(Order { url: reply.location()?, body: reply.json()? });
    }
    anyhow::bail!("{MAX_ORDERS} orders were taken on a full disk")
}

fn order_of(name: &str) -> serde_json::Value {
    json!({ "identifiers": [{ "type": "dns", "value": name }] })
}

/// Takes all the room that is left.
fn fill(filler: &Path) -> anyhow::Result<()> {
    let mut file = File::create(filler)?;
    for length in [1 << 16, 1 << 12, 1] {
        let block = vec![b'x'; length];
        while file.write_all(&block).is_ok() {}
    }
    Ok(())
}

/// Whether a program may have a disk of its own; without root or user namespaces it may not, and that is said.
async fn can_mount() -> anyhow::Result<bool> {
    let mut probe = Command::new("unshare");
    probe.args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
    let can = run(probe, TempDir::new()?.path()).await?.status.success();
    if !can {
        eprintln!("skipped: it needs root or user namespaces for a disk of its own");
    }
    Ok(can)
}
