//! The instant-acme library.

use acceptance::{ChallengeServer, LibraryClient, Site};

use crate::outcome;

const NAMES: [&str; 2] = ["library.example.com", "www.library.example.com"];

async fn issues_renews_and_revokes(web: ChallengeServer, site: Site) -> anyhow::Result<()> {
    let mut client = LibraryClient::register(&site.directory_url(), &site.trust()).await?;
    let first = outcome::check(&site, client.issue(&NAMES, &web).await?, &NAMES).await?;
    client.change_key().await?;
    let second = outcome::check(&site, client.issue(&NAMES, &web).await?, &NAMES).await?;
    outcome::renewed(&first, &second)?;
    client.revoke(&second).await?;
    outcome::revoked(&site, &second).await
}

#[tokio::test]
async fn instant_acme_issues_renews_and_revokes_on_the_embedded_log() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let site = Site::embedded(web.port()).await?;
    issues_renews_and_revokes(web, site).await
}

#[tokio::test]
async fn instant_acme_issues_renews_and_revokes_on_jetstream_and_redis() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let site = Site::cluster(web.port()).await?;
    issues_renews_and_revokes(web, site).await
}
