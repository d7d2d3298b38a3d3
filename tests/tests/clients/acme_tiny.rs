//! acme-tiny, a client of two hundred lines that issues and does nothing else.

use acceptance::{Chain, ChallengeServer, Site, run, tool};
use tokio::process::Command;

use crate::outcome;

const NAME: &str = "tiny.example.com";

async fn openssl(site: &Site, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(tool("openssl")?);
    command.args(arguments);
    run(command, site.client.path()).await?.success().map(drop)
}

async fn issues_and_renews(web: ChallengeServer, site: Site) -> anyhow::Result<()> {
    openssl(&site, &["genrsa", "-out", "account.key", "2048"]).await?;
    let subject = format!("subjectAltName=DNS:{NAME}");
    let request =
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/", "-addext", &subject];
    openssl(&site, &[&request[..], &["-keyout", "key.pem", "-out", "csr.pem"]].concat()).await?;
    let obtain = async || {
        let mut command = Command::new(tool("acme-tiny")?);
        command
            .env("SSL_CERT_FILE", site.trust())
            .args(["--account-key", "account.key", "--csr", "csr.pem", "--disable-check"])
            .args(["--directory-url", &site.directory_url(), "--acme-dir"])
            .arg(web.directory());
        let printed = run(command, site.client.path()).await?.success()?;
        // It prints one more newline than it got.
        let chain = Chain::parse(&format!("{}\n", printed.trim_end()))?;
        outcome::check(&site, chain, &[NAME]).await
    };
    let first = obtain().await?;
    let second = obtain().await?;
    outcome::renewed(&first, &second)
}

#[tokio::test]
async fn acme_tiny_issues_and_renews_on_the_embedded_log() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let site = Site::embedded(web.port()).await?;
    issues_and_renews(web, site).await
}

#[tokio::test]
async fn acme_tiny_issues_and_renews_on_jetstream_and_redis() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let site = Site::cluster(web.port()).await?;
    issues_and_renews(web, site).await
}
