//! Backup and restore as docs/operations.md says: what was issued and revoked before the backup is there, and nothing that
//! the signer's disk still knows is forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::PermissionsExt as _,
};

use acceptance::{
    Certmill, ChallengeServer, Cluster, Nats, RawClient, RedisServer, Scene, Setup, Surroundings,
    documented, python, workspace,
};
use anyhow::ensure;
use futures::future::try_join_all;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    patient::{Certificate, Patient},
    story,
};

const CLIENTS: usize = 3;
/// How many certificates each client gets before the backup, and again after it.
const MORE: usize = 2;

/// What clients got from a server that was backed up while they went on.
struct Known {
    clients: Vec<Patient>,
    /// Each client's certificates of before the backup; the first one is revoked.
    before: Vec<Vec<Certificate>>,
    /// Each client's first certificate of after it, which is revoked as well.
    revoked_after: Vec<Certificate>,
}

impl Known {
    /// Lets clients issue and revoke before, during and after a backup.
    async fn gather(
        clients: Vec<Patient>,
        web: &ChallengeServer,
        backup: impl AsyncFnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let more =
            async || try_join_all(clients.iter().map(|client| client.until_more(MORE))).await;
        let stop = CancellationToken::new();
        let issuing = try_join_all(clients.iter().map(|client| client.issue_until(&stop, web)));
        let backing_up = async {
            more().await?;
            for client in &clients {
                revoke_and_see(client, &client.certificates()[0]).await?;
            }
            let before: Vec<_> = clients.iter().map(Patient::certificates).collect();
            backup().await?;
            more().await?;
            let mut revoked_after = Vec::new();
            for (client, before) in clients.iter().zip(&before) {
                // The next one may have been under way when the copy was made.
                let certificate = client.certificates()[before.len() + 1].clone();
                revoke_and_see(client, &certificate).await?;
                revoked_after.push(certificate);
            }
            stop.cancel();
            Ok((before, revoked_after))
        };
        let (_, (before, revoked_after)) = tokio::try_join!(issuing, backing_up)?;
        Ok(Self { clients, before, revoked_after })
    }

    /// What was acknowledged before the backup is as it was, and the CA issues.
    async fn check_before(&self, web: &ChallengeServer) -> anyhow::Result<()> {
        for (client, before) in self.clients.iter().zip(&self.before) {
            for certificate in before {
                client.check_certificate(certificate).await?;
            }
            client.expect_on_crl(&before[0]).await?;
            client.issue("again.localhost", web).await?;
        }
        Ok(())
    }

    /// Every certificate that was ever handed over is in the ledger or is revoked, and what was revoked stays so.
    async fn check_all(&self, server: &Certmill) -> anyhow::Result<()> {
        for (client, revoked) in self.clients.iter().zip(&self.revoked_after) {
            client.expect_on_crl(revoked).await?;
        }
        let events = server.events().await?;
        let (signed, revoked) =
            (serials(&events, "CertificateSigned"), serials(&events, "CertRevoked"));
        for certificate in self.clients.iter().flat_map(Patient::certificates) {
            let serial = certificate.chain.serial()?;
            let known = signed.contains(&serial) || revoked.contains(&serial);
            ensure!(known, "{serial} is forgotten");
        }
        Ok(())
    }
}

async fn revoke_and_see(client: &Patient, certificate: &Certificate) -> anyhow::Result<()> {
    client.revoke(certificate).await?;
    client.expect_on_crl(certificate).await.map(drop)
}

fn serials(events: &[Value], kind: &str) -> BTreeSet<String> {
    let events = events.iter().filter(|event| event["type"] == kind);
    events.filter_map(|event| event["data"]["serial"].as_str().map(str::to_owned)).collect()
}

/// Checks that the log does not contradict itself, also not with what was lost.
async fn check_log(server: &Certmill, known: &Known) -> anyhow::Result<()> {
    server.operate(&["audit", "verify"]).await?.success()?;
    let events = server.events().await?;
    story::check(&events)?;
    let certificates = known.clients.iter().flat_map(Patient::certificates);
    let mut orders = BTreeMap::new();
    for certificate in certificates {
        let other = orders.insert(certificate.chain.serial()?, certificate.order);
        ensure!(other.is_none(), "a serial was given to two clients");
    }
    Ok(())
}

async fn patients(
    connect: impl AsyncFn() -> anyhow::Result<RawClient>,
) -> anyhow::Result<Vec<Patient>> {
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(Patient::new(connect().await?, format!("c{number}")));
    }
    Ok(clients)
}

/// A server that was backed up while it issued and then destroyed, and where the copy is.
async fn destroyed() -> anyhow::Result<(Scene, Known, Surroundings, TempDir)> {
    let mut scene = Scene::start().await?;
    let place = TempDir::new()?;
    let surroundings = Surroundings::default().variable("COPY", place.path().join("copy"));
    let clients = patients(async || scene.stranger().await).await?;
    let known = Known::gather(clients, &scene.web, async || {
        for block in documented("Backup of an embedded server", "sh")? {
            scene.server.follow(&block, &surroundings, place.path()).await?;
        }
        Ok(())
    })
    .await?;
    scene.server.kill().await?;
    Ok((scene, known, surroundings, place))
}

#[tokio::test]
async fn an_embedded_server_is_restored_from_its_backup() -> anyhow::Result<()> {
    let (mut scene, known, surroundings, place) = destroyed().await?;
    for block in documented("Restore of an embedded server", "sh")? {
        scene.server.follow(&block, &surroundings, place.path()).await?;
    }
    std::fs::remove_dir_all(scene.server.data_dir().with_extension("lost"))?;
    scene.server.start().await?;
    known.check_before(&scene.web).await?;
    check_log(&scene.server, &known).await
}

#[tokio::test]
async fn nothing_is_forgotten_when_the_log_is_restored_beside_the_newer_signer()
-> anyhow::Result<()> {
    let (mut scene, known, surroundings, place) = destroyed().await?;
    for block in documented("Restore beside the newer signer", "sh")? {
        scene.server.follow(&block, &surroundings, place.path()).await?;
    }
    scene.server.start().await?;
    known.check_before(&scene.web).await?;
    known.check_all(&scene.server).await?;
    check_log(&scene.server, &known).await
}

/// Puts the stand-in for the nats tool where it is found.
fn nats_tool(directory: &TempDir) -> anyhow::Result<()> {
    let script = workspace().join("tests/tests/failures/nats.py");
    let call = format!("#!/bin/sh\nexec {} {} \"$@\"\n", python()?.display(), script.display());
    let program = directory.path().join("nats");
    std::fs::write(&program, call)?;
    Ok(std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))?)
}

/// What the commands for a cluster need, whose copies have a place.
fn surroundings_of(cluster: &Cluster, place: &TempDir) -> anyhow::Result<Surroundings> {
    nats_tool(place)?;
    Ok(Surroundings::default()
        .variable("COPY", place.path().join("copy"))
        .variable("NATS_URL", &cluster.nats.servers()[0])
        .variable("REDIS_URL", cluster.redis.url())
        .programs_of(place.path()))
}

#[tokio::test]
async fn a_cluster_whose_streams_and_redis_are_lost_is_restored() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let setup = Setup::embedded().set("validation.http01_port", web.port());
    let mut cluster = Cluster::start(setup.set("api.retry_after", "1s")).await?;
    let place = TempDir::new()?;
    let surroundings = surroundings_of(&cluster, &place)?;
    let (directory, trust) = (cluster.directory_url(), cluster.trust());
    let clients = patients(async || RawClient::register(&directory, &trust).await).await?;
    let known = Known::gather(clients, &web, async || {
        for block in documented("Backup of a cluster", "sh")? {
            cluster.workers.follow(&block, &surroundings, place.path()).await?;
        }
        Ok(())
    })
    .await?;

    for server in cluster.api.iter_mut().chain([&mut cluster.workers, &mut cluster.projector]) {
        server.stop().await?;
    }
    cluster.nats.lose(0).await?;
    for block in documented("Restore of a cluster", "sh")? {
        cluster.workers.follow(&block, &surroundings, place.path()).await?;
    }
    for server in [&mut cluster.workers, &mut cluster.projector].into_iter().chain(&mut cluster.api)
    {
        server.start().await?;
    }
    known.check_before(&web).await?;
    known.check_all(&cluster.workers).await?;
    check_log(&cluster.workers, &known).await
}

/// The server that took a copy back gives the stream another age than those it shares it with, until it is restarted itself.
#[tokio::test]
async fn a_restored_cluster_is_the_same_log_on_each_of_its_servers() -> anyhow::Result<()> {
    let (nats, redis) = (Nats::cluster().await?, RedisServer::start().await?);
    let mut cluster = Cluster::start_on(nats, redis, Setup::embedded()).await?;
    let place = TempDir::new()?;
    let surroundings = surroundings_of(&cluster, &place)?;
    for block in documented("Backup of a cluster", "sh")? {
        cluster.workers.follow(&block, &surroundings, place.path()).await?;
    }
    for server in cluster.api.iter_mut().chain([&mut cluster.workers, &mut cluster.projector]) {
        server.stop().await?;
    }
    cluster.nats.lose_all().await?;
    for block in documented("Restore of a cluster", "sh")? {
        cluster.workers.follow(&block, &surroundings, place.path()).await?;
    }
    cluster.workers.start().await?;
    cluster.projector.start().await?;
    for number in 0..cluster.nats.size() {
        cluster.nats.stop(number).await?;
        cluster.nats.restart(number).await?;
        cluster.projector.stop().await?;
        cluster.projector.start().await?;
    }
    Ok(())
}
