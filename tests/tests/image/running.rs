//! Running the image as Kubernetes does: its root cannot be written, and nobody in it is root.

use std::{path::Path, time::Duration};

use acceptance::{
    ChallengeServer, Process, RawClient, eventually, free_port, run, verify, workspace,
};
use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::layout::Image;

const START_LIMIT: Duration = Duration::from_secs(40);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Each program takes the place of the one before, so that the process id is the server's.
const CONFINE: &str = r#"
    mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
    mount -t tmpfs -o uid=65532,gid=65532,mode=700,size=64m none "$1/var/lib/certmill" &&
    exec chroot --userspec=65532:65532 "$@""#;

#[tokio::test]
async fn the_image_is_the_same_each_time_and_issues_with_a_read_only_root() -> anyhow::Result<()> {
    if !is_root().await? {
        eprintln!("skipped: it needs root to become another user in a root of its own");
        return Ok(());
    }
    let (image, again) = tokio::try_join!(Image::build(), Image::build())?;
    assert_eq!(image.digest, again.digest);
    assert_eq!(image.config["User"], "65532:65532");
    assert_eq!(image.config["Entrypoint"], json!(["/usr/bin/certmill"]));

    let root = image.unpack().await?;
    std::fs::copy(workspace().join("config/dev.toml"), root.join("etc/certmill/certmill.toml"))?;
    let web = ChallengeServer::start().await?;
    let (port, ops_port) = (free_port()?, free_port()?);
    let settings = [
        "data_dir=/var/lib/certmill".to_owned(),
        format!("api.listen=127.0.0.1:{port}"),
        format!("api.base_url=https://localhost:{port}"),
        format!("ops.listen=127.0.0.1:{ops_port}"),
        format!("validation.http01_port={}", web.port()),
    ];
    let files = TempDir::new()?;
    let mut server =
        Process::start("certmill", container(&image, &root, &settings)?, files.path())?;
    let id = server.id().context("the server has ended")?;
    let bundle = format!("/proc/{id}/root/var/lib/certmill/ca/root.pem");
    let bundle = Path::new(&bundle);
    let directory = format!("https://localhost:{port}/acme/directory");
    let client = eventually("the image serves", START_LIMIT, async || {
        server.check_running()?;
        Ok(RawClient::register(&directory, bundle).await.ok())
    })
    .await?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    assert!(status.contains("Uid:\t65532\t65532\t65532\t65532"), "{status}");
    let issued = client.issue(&["a.localhost"], &web).await?;
    verify(&issued.chain, bundle).await?;
    server.terminate(STOP_LIMIT).await.map(drop)
}

/// What the image says to start, with its own root and user.
fn container(image: &Image, root: &Path, settings: &[String]) -> anyhow::Result<Command> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", CONFINE, "sh"]).arg(root);
    for part in ["Entrypoint", "Cmd"] {
        let words = image.config[part].as_array().with_context(|| format!("no {part}"))?;
        command.args(words.iter().filter_map(|word| word.as_str()));
    }
    for setting in settings {
        command.args(["--set", setting]);
    }
    Ok(command)
}

pub(crate) async fn is_root() -> anyhow::Result<bool> {
    let mut id = Command::new("id");
    id.arg("-u");
    Ok(run(id, TempDir::new()?.path()).await?.success()?.trim() == "0")
}
