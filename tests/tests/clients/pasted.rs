//! The command that the server prints when it is ready.

use acceptance::{Chain, Setup, free_port, run, verify};
use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::Command;

#[tokio::test]
async fn the_command_that_the_server_prints_works_when_it_is_pasted() -> anyhow::Result<()> {
    let setup = Setup::embedded().set("validation.http01_port", free_port()?);
    let mut server = setup.start().await?;
    let printed = server.process()?.log_tail();
    let line = printed.lines().find(|line| line.contains("certbot certonly"));
    let mut pasted = Command::new("sh");
    pasted.args(["-c", line.context("no certbot command was printed")?]);
    let elsewhere = TempDir::new()?;
    run(pasted, elsewhere.path()).await?.success()?;

    let live = server.data_dir().join("certbot/live/demo.localhost/fullchain.pem");
    let chain = Chain::parse(&std::fs::read_to_string(live)?)?;
    verify(&chain, &server.root()).await
}
