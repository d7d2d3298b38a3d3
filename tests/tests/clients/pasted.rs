//! The command that the server prints when it is ready.

use std::time::Duration;

use acceptance::{Chain, Setup, eventually, free_port, run, verify};
use anyhow::ensure;
use tempfile::TempDir;
use tokio::process::Command;

#[tokio::test]
async fn the_command_that_the_server_prints_works_when_it_is_pasted() -> anyhow::Result<()> {
    let setup = Setup::embedded().set("validation.http01_port", free_port()?);
    let mut server = setup.start().await?;
    let process = server.process()?;
    // A probe may see that the server is ready before the operator reads it.
    let line = eventually("a certbot command is printed", Duration::from_secs(10), async || {
        let printed = process.log_tail();
        let mut complete = printed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        Ok(complete.find(|line| line.contains("certbot certonly")).map(str::to_owned))
    })
    .await?;
    let mut pasted = Command::new("sh");
    pasted.args(["-c", &line]);
    let elsewhere = TempDir::new()?;
    run(pasted, elsewhere.path()).await?.success()?;

    let live = server.data_dir().join("certbot/live/demo.localhost");
    let chain = Chain::parse(&std::fs::read_to_string(live.join("fullchain.pem"))?)?;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))?;
    ensure!(
        live.join("cert.pem").exists()
            && readme.contains(" data/certbot/live/demo.localhost/cert.pem")
    );
    verify(&chain, &server.root()).await
}
