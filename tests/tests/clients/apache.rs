//! Apache's mod_md, a web server's module that gets and renews its certificates.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use acceptance::{ExternalKey, OperatorKey, Process, Setup, Site, eventually, free_port, tool};
use anyhow::ensure;
use tokio::process::Command;

use crate::outcome;

const MODULES: &str = "/usr/lib/apache2/modules";
const BY_HTTP: (&str, &str) = ("http.apache.example.com", "http-01");
const BY_TLS: (&str, &str) = ("tls.apache.example.com", "tls-alpn-01");
/// mod_md renews in the last third of the validity, in which these are from the beginning.
const SHORT_LIVED: &str = r#"[{name="default", certificate_validity="80m", backdate="1h"}]"#;
/// How long mod_md may take to get its certificates.
const LIMIT: Duration = Duration::from_secs(60);

/// An Apache with the CA that it asks.
struct Apache {
    site: Site,
    port: u16,
}

impl Apache {
    /// Starts it with names and the challenge by which each is proven, and one more line of configuration.
    fn start(&self, names: &[(&str, &str)], line: &str) -> anyhow::Result<Process> {
        let (home, port, http_port) = (self.site.client.path(), self.port, self.site.http01_port);
        // What serves is no longer root, if it was.
        std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o711))?;
        let mut config = format!(
            "ServerRoot {home}\n\
             DefaultRuntimeDir {home}\n\
             PidFile {home}/pid\n\
             ErrorLog /dev/stderr\n\
             LogLevel md:debug\n\
             ServerName localhost\n\
             User nobody\n\
             Listen 127.0.0.1:{http_port}\n\
             Listen 127.0.0.1:{port}\n\
             LoadModule mpm_event_module {MODULES}/mod_mpm_event.so\n\
             LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
             LoadModule ssl_module {MODULES}/mod_ssl.so\n\
             LoadModule md_module {MODULES}/mod_md.so\n\
             MDStoreDir {home}/store\n\
             MDCertificateAuthority {directory}\n\
             MDCACertificateFile {trust}\n\
             MDCertificateAgreement accepted\n\
             MDContactEmail admin@example.com\n\
             MDPortMap http:{http_port} https:{port}\n\
             MDPrivateKeys secp256r1\n\
             MDRetryDelay 1s\n\
             MDBaseServer off\n\
             {line}\n",
            home = home.display(),
            directory = self.site.directory_url(),
            trust = self.site.trust().display()
        );
        for (name, challenge) in names {
            config += &format!(
                "<MDomainSet {name}>\n\
                 MDCAChallenges {challenge}\n\
                 </MDomainSet>\n\
                 <VirtualHost *:{port}>\n\
                 ServerName {name}\n\
                 SSLEngine on\n\
                 Protocols http/1.1 acme-tls/1\n\
                 </VirtualHost>\n\
                 <VirtualHost *:{http_port}>\n\
                 ServerName {name}\n\
                 </VirtualHost>\n"
            );
        }
        let file = home.join("httpd.conf");
        std::fs::write(&file, config)?;
        let mut command = Command::new(tool("apache2")?);
        // One process, without children that would outlive it.
        command.arg("-X").arg("-f").arg(file);
        Process::start("apache", command, home)
    }

    /// Waits until mod_md has new certificates for all names, which it presents from the next start on.
    async fn staged(&self, names: &[(&str, &str)]) -> anyhow::Result<()> {
        let staging = self.site.client.path().join("store/staging");
        eventually("mod_md has certificates", LIMIT, async || {
            let is_there = |(name, _): &(&str, &str)| {
                let job = std::fs::read_to_string(staging.join(name).join("job.json"));
                job.is_ok_and(|job| job.contains(r#""finished": true"#))
            };
            Ok(names.iter().all(is_there).then_some(()))
        })
        .await
    }
}

/// Lets the CA look for tls-alpn-01 where Apache serves HTTPS.
fn serving_at(port: u16) -> impl FnOnce(Setup) -> Setup {
    move |setup| setup.set("validation.tls_alpn01_port", port)
}

fn short_lived(port: u16) -> impl FnOnce(Setup) -> Setup {
    move |setup| serving_at(port)(setup).set("profile", SHORT_LIVED)
}

async fn issues_and_renews(apache: Apache) -> anyhow::Result<()> {
    let names = [BY_HTTP, BY_TLS];
    let mut known = Vec::new();
    for _ in 0..2 {
        let mut first = apache.start(&names, "")?;
        apache.staged(&names).await?;
        first.kill().await?;
        let mut second = apache.start(&names, "")?;
        for (number, (name, _)) in names.into_iter().enumerate() {
            let chain =
                outcome::presented(&apache.site, apache.port, name, known.get(number)).await?;
            known.push(chain);
        }
        second.kill().await?;
    }
    Ok(())
}

#[tokio::test]
async fn mod_md_issues_and_renews_by_http_and_tls_on_the_embedded_log() -> anyhow::Result<()> {
    let port = free_port()?;
    let site = Site::embedded_with(Site::challenge_port()?, short_lived(port)).await?;
    issues_and_renews(Apache { site, port }).await
}

#[tokio::test]
async fn mod_md_issues_and_renews_by_http_and_tls_on_jetstream_and_redis() -> anyhow::Result<()> {
    let port = free_port()?;
    let site = Site::cluster_with(Site::challenge_port()?, short_lived(port)).await?;
    issues_and_renews(Apache { site, port }).await
}

#[tokio::test]
async fn mod_md_binds_its_account_to_an_external_one() -> anyhow::Result<()> {
    let (operator, port) = (OperatorKey::new()?, free_port()?);
    let profile = r#"[{name="default", external_account_required=true}]"#;
    let change = |setup| serving_at(port)(operator.configure(setup)).set("profile", profile);
    let site = Site::embedded_with(Site::challenge_port()?, change).await?;
    let ExternalKey { kid, hmac_key } = site.operator().external_key(&["--name", BY_TLS.0]).await?;
    let apache = Apache { site, port };
    let _running =
        apache.start(&[BY_TLS], &format!("MDExternalAccountBinding {kid} {hmac_key}"))?;
    apache.staged(&[BY_TLS]).await?;
    let events = apache.site.operator().events().await?;
    ensure!(events.iter().any(|event| event.to_string().contains(&kid)), "nobody used the key");
    Ok(())
}
