//! certbot, as Debian packages it, and the one from PyPI, which knows IP addresses.

use std::path::{Path, PathBuf};

use acceptance::{Site, python_tool, run, tool};
use tokio::process::Command;

use crate::outcome;

const NAME: &str = "certbot.example.com";
const WILDCARD: &str = "*.certbot.example.com";
const ADDRESS: &str = "127.0.0.1";

struct Certbot {
    program: PathBuf,
    site: Site,
}

impl Certbot {
    fn of_debian(site: Site) -> anyhow::Result<Self> {
        Ok(Self { program: tool("certbot")?, site })
    }

    fn of_pypi(site: Site) -> anyhow::Result<Self> {
        Ok(Self { program: python_tool("certbot")?, site })
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let home = self.site.client.path();
        let mut command = Command::new(&self.program);
        command.env("REQUESTS_CA_BUNDLE", self.site.trust()).args(arguments).args([
            "--non-interactive",
            "--server",
            &self.site.directory_url(),
        ]);
        for directory in ["--config-dir", "--work-dir", "--logs-dir"] {
            command.arg(directory).arg(home);
        }
        run(command, home).await?.success()
    }

    async fn obtain(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let account = ["certonly", "--agree-tos", "-m", "admin@example.com"];
        self.run(&[&account, arguments].concat()).await
    }

    async fn obtain_by_http(&self, identifiers: &[&str]) -> anyhow::Result<String> {
        let port = self.site.http01_port.to_string();
        let standalone =
            ["--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", &port];
        self.obtain(&[&standalone[..], identifiers].concat()).await
    }

    /// Proves a wildcard and the name above it, whose TXT records have the same name.
    async fn obtain_by_dns(&self) -> anyhow::Result<String> {
        let hook = self.site.client.path().join("hook");
        let zone = self.site.dns.zone().display();
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$CERTBOT_VALIDATION\" >> {zone}/_acme-challenge.$CERTBOT_DOMAIN\n"
        );
        write_script(&hook, &script)?;
        let hook = hook.display().to_string();
        let manual = ["--manual", "--preferred-challenges", "dns", "--manual-auth-hook", &hook];
        self.obtain(&[&manual[..], &["-d", WILDCARD, "-d", NAME]].concat()).await
    }

    fn live(&self, file: &str) -> PathBuf {
        self.site.client.path().join("live").join(NAME).join(file)
    }
}

fn write_script(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, text)?;
    Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))?)
}

async fn issues_renews_and_revokes(site: Site) -> anyhow::Result<()> {
    let certbot = Certbot::of_debian(site)?;
    let site = &certbot.site;
    certbot.obtain_by_http(&["-d", NAME]).await?;
    let first = outcome::issued(site, &certbot.live("fullchain.pem"), &[NAME]).await?;

    certbot.run(&["renew", "--force-renewal", "--no-random-sleep-on-renew"]).await?;
    let second = outcome::issued(site, &certbot.live("fullchain.pem"), &[NAME]).await?;
    outcome::renewed(&first, &second)?;

    // By the account, and then by the key of the certificate.
    let old = site.client.path().join("old.pem");
    std::fs::write(&old, first.leaf_pem())?;
    let old = old.display().to_string();
    let keep = "--no-delete-after-revoke";
    certbot.run(&["revoke", keep, "--cert-path", &old, "--reason", "superseded"]).await?;
    outcome::revoked(site, &first).await?;
    let (certificate, key) = (certbot.live("cert.pem"), certbot.live("privkey.pem"));
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    certbot.run(&["revoke", keep, "--cert-path", &certificate, "--key-path", &key]).await?;
    outcome::revoked(site, &second).await
}

async fn proves_a_wildcard(site: Site) -> anyhow::Result<()> {
    let certbot = Certbot::of_debian(site)?;
    certbot.obtain_by_dns().await?;
    let file = certbot.live("fullchain.pem");
    outcome::issued(&certbot.site, &file, &[WILDCARD, NAME]).await?;
    Ok(())
}

#[tokio::test]
async fn certbot_issues_renews_and_revokes_on_the_embedded_log() -> anyhow::Result<()> {
    issues_renews_and_revokes(Site::embedded(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn certbot_issues_renews_and_revokes_on_jetstream_and_redis() -> anyhow::Result<()> {
    issues_renews_and_revokes(Site::cluster(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn certbot_proves_a_wildcard_on_the_embedded_log() -> anyhow::Result<()> {
    proves_a_wildcard(Site::embedded(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn certbot_proves_a_wildcard_on_jetstream_and_redis() -> anyhow::Result<()> {
    proves_a_wildcard(Site::cluster(Site::challenge_port()?).await?).await
}

#[tokio::test]
async fn certbot_proves_an_address_beside_a_name() -> anyhow::Result<()> {
    let certbot = Certbot::of_pypi(Site::embedded(Site::challenge_port()?).await?)?;
    certbot.obtain_by_http(&["-d", NAME, "--ip-address", ADDRESS]).await?;
    let file = certbot.live("fullchain.pem");
    outcome::issued(&certbot.site, &file, &[NAME, ADDRESS]).await?;
    Ok(())
}
