//! Caddy, a web server that gets and renews its certificates by itself.

use acceptance::{ExternalKey, OperatorKey, Process, Setup, Site, free_port, tool};
use anyhow::ensure;
use tokio::process::Command;

use crate::outcome;

const BY_HTTP: &str = "http.caddy.example.com";
const BY_TLS: &str = "tls.caddy.example.com";
const ON_DEMAND: &str = "on-demand.caddy.example.com";
/// Caddy renews in the last third of the validity, in which these are from the beginning.
const SHORT_LIVED: &str = r#"[{name="default", certificate_validity="80m", backdate="1h"}]"#;

/// A Caddy with the CA that it asks.
struct Caddy {
    site: Site,
    port: u16,
}

impl Caddy {
    /// Starts it with sites, and options beside those that lead it to the CA.
    fn start(&self, options: &str, sites: &str) -> anyhow::Result<Process> {
        let home = self.site.client.path();
        let file = home.join("Caddyfile");
        let caddyfile = format!(
            "{{\n\
             admin off\n\
             persist_config off\n\
             storage file_system {}\n\
             default_bind 127.0.0.1\n\
             http_port {}\n\
             https_port {}\n\
             email admin@example.com\n\
             acme_ca {}\n\
             acme_ca_root {}\n\
             renew_interval 1s\n\
             {options}\n\
             }}\n\
             {sites}",
            home.display(),
            self.site.http01_port,
            self.port,
            self.site.directory_url(),
            self.site.trust().display()
        );
        std::fs::write(&file, caddyfile)?;
        let mut command = Command::new(tool("caddy")?);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        Process::start("caddy", command, home)
    }
}

/// Lets the CA look for tls-alpn-01 where Caddy serves HTTPS.
fn serving_at(port: u16) -> impl FnOnce(Setup) -> Setup {
    move |setup| setup.set("validation.tls_alpn01_port", port)
}

fn short_lived(port: u16) -> impl FnOnce(Setup) -> Setup {
    move |setup| serving_at(port)(setup).set("profile", SHORT_LIVED)
}

async fn issues_and_renews(caddy: Caddy) -> anyhow::Result<()> {
    // Each site has one way only to prove its name.
    let sites = format!(
        "{BY_HTTP} {{\ntls {{\nissuer acme {{\ndisable_tlsalpn_challenge\n}}\n}}\nrespond http\n}}\n\
         {BY_TLS} {{\ntls {{\nissuer acme {{\ndisable_http_challenge\n}}\n}}\nrespond tls\n}}\n"
    );
    let _running = caddy.start("", &sites)?;
    for name in [BY_HTTP, BY_TLS] {
        let first = outcome::presented(&caddy.site, caddy.port, name, None).await?;
        outcome::presented(&caddy.site, caddy.port, name, Some(&first)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn caddy_issues_and_renews_by_http_and_tls_on_the_embedded_log() -> anyhow::Result<()> {
    let port = free_port()?;
    let site = Site::embedded_with(Site::challenge_port()?, short_lived(port)).await?;
    issues_and_renews(Caddy { site, port }).await
}

#[tokio::test]
async fn caddy_issues_and_renews_by_http_and_tls_on_jetstream_and_redis() -> anyhow::Result<()> {
    let port = free_port()?;
    let site = Site::cluster_with(Site::challenge_port()?, short_lived(port)).await?;
    issues_and_renews(Caddy { site, port }).await
}

#[tokio::test]
async fn caddy_binds_its_account_and_gets_a_certificate_on_demand() -> anyhow::Result<()> {
    let (operator, port) = (OperatorKey::new()?, free_port()?);
    let profile = r#"[{name="default", external_account_required=true}]"#;
    let change = |setup| serving_at(port)(operator.configure(setup)).set("profile", profile);
    let site = Site::embedded_with(Site::challenge_port()?, change).await?;
    let key = site.operator().external_key(&["--name", ON_DEMAND]).await?;
    let caddy = Caddy { site, port };

    let asked = format!("http://127.0.0.1:{}", free_port()?);
    let ExternalKey { kid, hmac_key } = key;
    let options = format!(
        "acme_eab {{\nkey_id {kid}\nmac_key {hmac_key}\n}}\non_demand_tls {{\nask {asked}\n}}"
    );
    let sites = format!("{asked} {{\nrespond yes\n}}\nhttps:// {{\ntls {{\non_demand\n}}\n}}\n");
    let _running = caddy.start(&options, &sites)?;
    let chain = outcome::presented(&caddy.site, port, ON_DEMAND, None).await?;

    let events = caddy.site.operator().events().await?;
    let bound = events.iter().any(|event| event.to_string().contains(&kid));
    ensure!(bound, "nobody used the key {kid} for {}", chain.serial()?);
    Ok(())
}
