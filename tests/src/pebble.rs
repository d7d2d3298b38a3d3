//! Pebble, a CA for testing clients, as another server to compare with; without its deliberate delays and refusals.

use std::{path::PathBuf, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    DnsServer, Process, eventually, free_port, ports::loopback, raw_client, tls::ServerCertificate,
    tool,
};

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running Pebble; dropping it kills it.
pub struct Pebble {
    port: u16,
    trust: PathBuf,
    _process: Process,
    _files: TempDir,
}

impl Pebble {
    /// Starts a server that validates at a port and asks a DNS server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start(challenge_port: u16, dns: &DnsServer) -> anyhow::Result<Self> {
        let port = free_port()?;
        let files = TempDir::new()?;
        let tls = ServerCertificate::make(files.path())?;
        let config = json!({ "pebble": {
            "listenAddress": loopback(port),
            "certificate": tls.chain,
            "privateKey": tls.key,
            "httpPort": challenge_port,
            "tlsPort": challenge_port,
        }});
        let config_file = files.path().join("pebble.json");
        std::fs::write(&config_file, config.to_string())?;
        let mut command = Command::new(tool("pebble")?);
        command
            .arg("-config")
            .arg(config_file)
            .args(["-dnsserver", &dns.address()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0");
        let mut process = Process::start("pebble", command, files.path())?;
        let (url, trust) = (directory_url(port), tls.chain);
        let http = raw_client::https(&trust, usize::MAX)?;
        eventually("Pebble answers", START_LIMIT, async || {
            process.check_running()?;
            Ok(http.get(&url).send().await.ok())
        })
        .await?;
        Ok(Self { port, trust, _process: process, _files: files })
    }

    /// The URL of its directory.
    pub fn directory_url(&self) -> String {
        directory_url(self.port)
    }

    /// What clients trust when they connect.
    pub fn trust(&self) -> PathBuf {
        self.trust.clone()
    }
}

fn directory_url(port: u16) -> String {
    format!("https://localhost:{port}/dir")
}
