//! acme.sh, a client made of a shell script, curl, openssl and socat.

use std::path::PathBuf;

use acceptance::{OperatorKey, Site, run, tool};
use tokio::process::Command;

use crate::outcome;

const NAME: &str = "acme-sh.example.com";
const ADDRESS: &str = "127.0.0.1";

struct AcmeSh {
    site: Site,
}

impl AcmeSh {
    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let home = self.site.client.path();
        let mut command = Command::new(tool("acme.sh")?);
        command
            .arg("--home")
            .arg(home)
            .arg("--ca-bundle")
            .arg(self.site.trust())
            .args(["--server", &self.site.directory_url()])
            .args(["--accountemail", "admin@example.com"])
            .args(arguments);
        run(command, home).await?.success()
    }

    async fn by_http(&self, names: &[&str]) -> anyhow::Result<String> {
        let port = self.site.http01_port.to_string();
        let standalone = ["--standalone", "--httpport", &port, "--local-address", ADDRESS];
        let domains = names.iter().flat_map(|name| ["--domain", *name]);
        let arguments: Vec<&str> =
            ["--issue"].into_iter().chain(standalone).chain(domains).collect();
        self.run(&arguments).await
    }

    async fn by_tls(&self, name: &str) -> anyhow::Result<String> {
        let port = self.site.http01_port.to_string();
        let alpn = ["--alpn", "--tlsport", &port, "--local-address", ADDRESS];
        self.run(&[&["--issue"][..], &alpn, &["--domain", name]].concat()).await
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.site.client.path().join(format!("{name}_ecc/fullchain.cer"))
    }
}

async fn issues_renews_and_revokes(site: Site, names: &[&str]) -> anyhow::Result<()> {
    let client = AcmeSh { site };
    let (site, file) = (&client.site, client.certificate(NAME));
    client.by_http(names).await?;
    let first = outcome::issued(site, &file, names).await?;
    client.run(&["--renew", "--force", "--domain", NAME]).await?;
    let second = outcome::issued(site, &file, names).await?;
    outcome::renewed(&first, &second)?;
    client.run(&["--revoke", "--domain", NAME]).await?;
    outcome::revoked(site, &second).await
}

#[tokio::test]
async fn acme_sh_issues_renews_and_revokes_a_name_and_an_address_on_the_embedded_log()
-> anyhow::Result<()> {
    issues_renews_and_revokes(Site::embedded(Site::challenge_port()?).await?, &[NAME, ADDRESS])
        .await
}

#[tokio::test]
async fn acme_sh_issues_renews_and_revokes_on_jetstream_and_redis() -> anyhow::Result<()> {
    issues_renews_and_revokes(Site::cluster(Site::challenge_port()?).await?, &[NAME]).await
}

#[tokio::test]
async fn acme_sh_proves_a_name_and_an_address_by_tls() -> anyhow::Result<()> {
    let client = AcmeSh { site: Site::embedded(Site::challenge_port()?).await? };
    for name in [NAME, ADDRESS] {
        client.by_tls(name).await?;
        outcome::issued(&client.site, &client.certificate(name), &[name]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn acme_sh_binds_its_account_to_an_external_one() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let profile = r#"[{name="default", external_account_required=true}]"#;
    let change = |setup| operator.configure(setup).set("profile", profile);
    let site = Site::embedded_with(Site::challenge_port()?, change).await?;
    let key = site.operator().external_key(&["--name", NAME]).await?;
    let client = AcmeSh { site };
    assert!(client.run(&["--register-account"]).await.is_err(), "no account without a binding");
    let binding = ["--eab-kid", &key.kid, "--eab-hmac-key", &key.hmac_key];
    client.run(&[&["--register-account"][..], &binding].concat()).await?;
    client.by_http(&[NAME]).await?;
    outcome::issued(&client.site, &client.certificate(NAME), &[NAME]).await?;
    Ok(())
}
