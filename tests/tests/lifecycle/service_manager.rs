//! What systemd is told, and the unit that it is given.

use std::time::Duration;

use acceptance::{Setup, run, server_under_test, tool, workspace};
use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::{net::UnixDatagram, process::Command, time::timeout};

/// How long a notification may take: a start among other tests.
const LIMIT: Duration = Duration::from_secs(40);

/// The socket that a service manager gives a service.
struct Manager(UnixDatagram);

impl Manager {
    /// Reads notifications until one has this line, and returns those before it.
    async fn told(&self, line: &str) -> anyhow::Result<Vec<String>> {
        timeout(LIMIT, self.read_until(line)).await.with_context(|| format!("not told: {line}"))?
    }

    async fn read_until(&self, line: &str) -> anyhow::Result<Vec<String>> {
        let mut before = Vec::new();
        loop {
            let mut notification = [0; 4096];
            let length = self.0.recv(&mut notification).await?;
            let notification = std::str::from_utf8(&notification[..length])?;
            if notification.lines().any(|told| told == line) {
                return Ok(before);
            }
            before.push(notification.to_owned());
        }
    }
}

#[tokio::test]
async fn a_service_manager_is_told_of_readiness_life_and_stop() -> anyhow::Result<()> {
    let files = TempDir::new()?;
    let socket = files.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&socket)?);
    let setup = Setup::embedded().environment("NOTIFY_SOCKET", socket.display());
    let mut server = setup.environment("WATCHDOG_USEC", 500_000).prepare("certmill")?;
    server.begin()?;
    let before = manager.told("READY=1").await?;
    ensure!(server.ops("/readyz").await?.is_success(), "it was not ready yet: {before:?}");
    for _ in 0..3 {
        manager.told("WATCHDOG=1").await?;
    }
    let stopping = manager.told("STOPPING=1");
    let (stopped, told) = tokio::join!(server.stop(), stopping);
    stopped?;
    let told = told?.concat();
    assert!(!told.contains("READY=1"), "{told}");
    Ok(())
}

#[tokio::test]
async fn the_unit_is_one_that_systemd_takes_and_calls_safe() -> anyhow::Result<()> {
    let files = TempDir::new()?;
    let unit = std::fs::read_to_string(workspace().join("systemd/certmill.service"))?;
    let server = server_under_test()?.display().to_string();
    ensure!(unit.contains("ExecStart=/usr/local/bin/certmill serve "), "{unit}");
    std::fs::write(
        files.path().join("certmill.service"),
        unit.replace("ExecStart=/usr/local/bin/certmill ", &format!("ExecStart={server} ")),
    )?;
    let analyze = async |arguments: &[&str]| {
        let mut analyze = Command::new(tool("systemd-analyze")?);
        analyze.args(arguments).arg("certmill.service");
        run(analyze, files.path()).await
    };
    let verified = analyze(&["verify"]).await?;
    ensure!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    // In tenths; what is left comes from a service that talks to the network.
    let safe = analyze(&["security", "--offline=true", "--threshold=20", "--no-pager"]).await?;
    ensure!(safe.status.success(), "{safe:?}");
    Ok(())
}
