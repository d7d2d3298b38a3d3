//! dehydrated, a client made of a shell script, curl and openssl.

use std::path::PathBuf;

use acceptance::{ChallengeServer, Site, run, tool};
use tokio::process::Command;

use crate::outcome;

const NAME: &str = "dehydrated.example.com";

struct Dehydrated {
    site: Site,
    web: ChallengeServer,
}

impl Dehydrated {
    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let home = self.site.client.path();
        let config = home.join("config");
        let settings = format!(
            "CA={}\nBASEDIR={}\nWELLKNOWN={}\nCURL_OPTS=\"--cacert {}\"\nCONTACT_EMAIL=a@example.com\nKEY_ALGO=prime256v1\n",
            self.site.directory_url(),
            home.display(),
            self.web.directory().display(),
            self.site.trust().display()
        );
        std::fs::write(&config, settings)?;
        let mut command = Command::new(tool("dehydrated")?);
        command.arg("--config").arg(config).args(arguments);
        run(command, home).await?.success()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.client.path().join("certs").join(NAME).join(name)
    }
}

async fn issues_renews_and_revokes(web: ChallengeServer, site: Site) -> anyhow::Result<()> {
    let dehydrated = Dehydrated { site, web };
    let sign = ["--cron", "--challenge", "http-01", "--domain", NAME];
    dehydrated.run(&["--register", "--accept-terms"]).await?;
    dehydrated.run(&sign).await?;
    let chain = dehydrated.file("fullchain.pem");
    let first = outcome::issued(&dehydrated.site, &chain, &[NAME]).await?;
    dehydrated.run(&[&sign[..], &["--force"]].concat()).await?;
    let second = outcome::issued(&dehydrated.site, &chain, &[NAME]).await?;
    outcome::renewed(&first, &second)?;
    let certificate = dehydrated.file("cert.pem").display().to_string();
    dehydrated.run(&["--revoke", &certificate]).await?;
    outcome::revoked(&dehydrated.site, &second).await
}

#[tokio::test]
async fn dehydrated_issues_renews_and_revokes_on_the_embedded_log() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let site = Site::embedded(web.port()).await?;
    issues_renews_and_revokes(web, site).await
}

#[tokio::test]
async fn dehydrated_issues_renews_and_revokes_on_jetstream_and_redis() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let site = Site::cluster(web.port()).await?;
    issues_renews_and_revokes(web, site).await
}
