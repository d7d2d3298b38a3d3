//! lego, which is also what Traefik issues with.

use std::path::PathBuf;

use acceptance::{OperatorKey, Site, run, tool};
use tokio::process::Command;

use crate::outcome;

const NAME: &str = "lego.example.com";
const ADDRESS: &str = "127.0.0.1";
const WILDCARD: &str = "*.lego.example.com";

struct Lego {
    site: Site,
}

impl Lego {
    async fn run(&self, challenge: &[&str], name: &str, action: &[&str]) -> anyhow::Result<String> {
        let home = self.site.client.path();
        let mut command = Command::new(tool("lego")?);
        command
            .env("LEGO_CA_CERTIFICATES", self.site.trust())
            .env("EXEC_PATH", home.join("hook"))
            .env("LEGO_DISABLE_CNAME_SUPPORT", "true")
            .args(["--server", &self.site.directory_url(), "--accept-tos"])
            .args(["--email", "admin@example.com", "--domains", name, "--path"])
            .arg(home)
            .args(challenge)
            .args(action);
        run(command, home).await?.success()
    }

    async fn by_http(&self, action: &[&str]) -> anyhow::Result<String> {
        let address = format!("127.0.0.1:{}", self.site.http01_port);
        self.run(&["--http", "--http.port", &address], NAME, action).await
    }

    async fn by_tls(&self, name: &str, action: &[&str]) -> anyhow::Result<String> {
        let address = format!("127.0.0.1:{}", self.site.http01_port);
        self.run(&["--tls", "--tls.port", &address], name, action).await
    }

    async fn by_dns(&self, action: &[&str]) -> anyhow::Result<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let hook = self.site.client.path().join("hook");
        // Called as: present _acme-challenge.name. value
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = present ] || exit 0\nprintf '%s\\n' \"$3\" > {}/${{2%.}}\n",
            self.site.dns.zone().display()
        );
        std::fs::write(&hook, script)?;
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))?;
        // Asking authoritative servers of the internet whether the record is there would lead nowhere.
        let challenge = ["--dns", "exec", "--dns.resolvers", &self.site.dns.address()];
        let challenge = [&challenge[..], &["--dns.propagation-wait", "1s"]].concat();
        self.run(&challenge, WILDCARD, action).await
    }

    fn certificate(&self, name: &str) -> PathBuf {
        let file = format!("certificates/{}.crt", name.replace('*', "_"));
        self.site.client.path().join(file)
    }
}

async fn issues_renews_and_revokes(site: Site) -> anyhow::Result<()> {
    let lego = Lego { site };
    lego.by_http(&["run"]).await?;
    let first = outcome::issued(&lego.site, &lego.certificate(NAME), &[NAME]).await?;
    lego.by_http(&["renew", "--days", "3650", "--no-random-sleep"]).await?;
    let second = outcome::issued(&lego.site, &lego.certificate(NAME), &[NAME]).await?;
    outcome::renewed(&first, &second)?;
    lego.by_http(&["revoke"]).await?;
    outcome::revoked(&lego.site, &second).await
}

async fn proves_a_wildcard(site: Site) -> anyhow::Result<()> {
    let lego = Lego { site };
    lego.by_dns(&["run"]).await?;
    outcome::issued(&lego.site, &lego.certificate(WILDCARD), &[WILDCARD]).await?;
    Ok(())
}

async fn proves_a_name_and_an_address_by_tls(site: Site) -> anyhow::Result<()> {
    let lego = Lego { site };
    for name in [NAME, ADDRESS] {
        lego.by_tls(name, &["run"]).await?;
        outcome::issued(&lego.site, &lego.certificate(name), &[name]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn lego_proves_a_name_and_an_address_by_tls_on_the_embedded_log() -> anyhow::Result<()> {
    proves_a_name_and_an_address_by_tls(Site::embedded(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn lego_proves_a_name_and_an_address_by_tls_on_jetstream_and_redis() -> anyhow::Result<()> {
    proves_a_name_and_an_address_by_tls(Site::cluster(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn lego_binds_its_account_to_an_external_one() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let profile = r#"[{name="default", external_account_required=true}]"#;
    let change = |setup| operator.configure(setup).set("profile", profile);
    let site = Site::embedded_with(Site::challenge_port()?, change).await?;
    let key = site.operator().external_key(&["--name", NAME]).await?;
    let lego = Lego { site };
    assert!(lego.by_http(&["run"]).await.is_err(), "no account without a binding");
    let binding = ["--eab", "--kid", &key.kid, "--hmac", &key.hmac_key, "run"];
    lego.by_http(&binding).await?;
    outcome::issued(&lego.site, &lego.certificate(NAME), &[NAME]).await?;
    Ok(())
}

#[tokio::test]
async fn lego_issues_renews_and_revokes_on_the_embedded_log() -> anyhow::Result<()> {
    issues_renews_and_revokes(Site::embedded(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn lego_issues_renews_and_revokes_on_jetstream_and_redis() -> anyhow::Result<()> {
    issues_renews_and_revokes(Site::cluster(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn lego_proves_a_wildcard_on_the_embedded_log() -> anyhow::Result<()> {
    proves_a_wildcard(Site::embedded(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn lego_proves_a_wildcard_on_jetstream_and_redis() -> anyhow::Result<()> {
    proves_a_wildcard(Site::cluster(Site::challenge_port()?).await?).await
}
