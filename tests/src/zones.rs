//! Real zones: knot signs and serves them, unbound resolves and validates them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Process, eventually, free_port, ports::loopback, run, tool};

/// How long the servers may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The zone whose key is the trust anchor.
const PARENT: &str = "example";
/// What every zone begins with.
const APEX: &str = "@ 0 SOA ns.example. admin.example. 1 3600 600 86400 0\n@ 0 NS ns.example.\n";
const KNOT: &str = "knot.conf";

/// The zones `example`, `signed.example` with a chain of trust, `bogus.example` whose chain is broken, and
/// `unsigned.example`; the servers stop when it is dropped.
pub struct Zones {
    knot_port: u16,
    unbound_port: u16,
    files: TempDir,
    _servers: [Process; 2],
}

impl Zones {
    /// Starts both servers; `records` is what the zones below `example` hold, in the form of a zone file.
    ///
    /// # Errors
    /// When they do not answer.
    pub async fn start(records: &str) -> anyhow::Result<Self> {
        let knot_port = free_port()?;
        let files = TempDir::new()?;
        let directory = files.path();
        std::fs::create_dir(directory.join("keys"))?;
        std::fs::write(directory.join(KNOT), knot_configuration(directory, knot_port))?;
        let mut delegations = format!("{APEX}ns 0 A 127.0.0.1\n");
        for zone in ["signed", "bogus", "unsigned"] {
            std::fs::write(
                directory.join(format!("{zone}.{PARENT}.zone")),
                format!("{APEX}{records}"),
            )?;
            writeln!(delegations, "{zone} 0 NS ns.example.")?;
        }
        for zone in ["signed", "bogus"] {
            let digest = delegation(directory, &format!("{zone}.{PARENT}")).await?;
            let digest = if zone == "bogus" { spoiled(&digest) } else { digest };
            writeln!(delegations, "{zone} 0 DS {digest}")?;
        }
        std::fs::write(directory.join(format!("{PARENT}.zone")), delegations)?;
        generate_key(directory, PARENT).await?;
        let key = keymgr(directory, &[PARENT, "dnskey"]).await?;
        std::fs::write(directory.join("anchor"), key.replacen(" DNSKEY", " 0 IN DNSKEY", 1))?;
        let unbound_port = free_port()?;
        let unbound = unbound_configuration(directory, knot_port, unbound_port);
        std::fs::write(directory.join("unbound.conf"), unbound)?;

        let start = |name: &str| {
            let mut command = Command::new(tool(name)?);
            let configuration = if name == "knotd" { KNOT } else { "unbound.conf" };
            command.arg("-c").arg(directory.join(configuration));
            Process::start(name, command, directory)
        };
        let mut servers = [start("knotd")?, start("unbound")?];
        for port in [knot_port, unbound_port] {
            eventually("the name server answers", START_LIMIT, async || {
                for server in &mut servers {
                    server.check_running()?;
                }
                Ok(tokio::net::TcpStream::connect(loopback(port)).await.ok())
            })
            .await?;
        }
        let zones = Self { knot_port, unbound_port, files, _servers: servers };
        eventually("the zones are served", START_LIMIT, async || {
            let status = zones.knotc(&["zone-status"]).await;
            Ok(status.ok().filter(|status| !status.contains("serial: -")))
        })
        .await?;
        Ok(zones)
    }

    /// Where unbound resolves and validates.
    pub fn resolver(&self) -> String {
        loopback(self.unbound_port).to_string()
    }

    /// Where knot serves the zones as they are.
    pub fn authority(&self) -> String {
        loopback(self.knot_port).to_string()
    }

    /// A file with the key that the zones are proven with.
    pub fn anchor(&self) -> PathBuf {
        self.files.path().join("anchor")
    }

    /// Adds a record to a zone, which is signed again.
    ///
    /// # Errors
    /// When knot refuses.
    pub async fn add(
        &self,
        zone: &str,
        (name, kind, value): (&str, &str, &str),
    ) -> anyhow::Result<()> {
        self.knotc(&["zone-begin", zone]).await?;
        self.knotc(&["zone-set", zone, name, "0", kind, value]).await?;
        self.knotc(&["zone-commit", zone]).await.map(drop)
    }

    async fn knotc(&self, arguments: &[&str]) -> anyhow::Result<String> {
        of_knot("knotc", self.files.path(), arguments).await
    }
}

fn knot_configuration(directory: &Path, port: u16) -> String {
    let directory = directory.display();
    let mut text = format!(
        r#"server:
  rundir: "{directory}"
  listen: 127.0.0.1@{port}
log:
  - target: stderr
    any: warning
database:
  storage: "{directory}/keys"
policy:
  - id: by-hand
    manual: on
    algorithm: ecdsap256sha256
template:
  - id: default
    storage: "{directory}"
    file: "%s.zone"
    dnssec-policy: by-hand
zone:
  - domain: unsigned.{PARENT}
"#
    );
    for zone in [PARENT, "signed.example", "bogus.example"] {
        text.push_str(&format!("  - domain: {zone}\n    dnssec-signing: on\n"));
    }
    text
}

/// A resolver that asks knot, trusts the parent's key and keeps nothing.
fn unbound_configuration(directory: &Path, knot: u16, port: u16) -> String {
    let directory = directory.display();
    let mut text = format!(
        r#"server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-not-query-localhost: no
  trust-anchor-file: "anchor"
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  aggressive-nsec: no
  val-log-level: 1
remote-control:
  control-enable: no
"#
    );
    for zone in [PARENT, "signed.example", "bogus.example", "unsigned.example"] {
        text.push_str(&format!("stub-zone:\n  name: {zone}.\n  stub-addr: 127.0.0.1@{knot}\n"));
    }
    text
}

/// Makes a zone's key and returns what its parent says of it.
async fn delegation(directory: &Path, zone: &str) -> anyhow::Result<String> {
    generate_key(directory, zone).await?;
    let digests = keymgr(directory, &[zone, "ds"]).await?;
    // By SHA-256.
    let digest = digests.lines().find(|line| line.contains(" 13 2 "));
    let digest = digest.and_then(|line| line.split_once(" DS ")).context("no digest of the key")?;
    Ok(digest.1.to_owned())
}

/// The digest of another key.
fn spoiled(digest: &str) -> String {
    let last = if digest.ends_with('0') { "1" } else { "0" };
    digest.get(..digest.len() - 1).unwrap_or_default().to_owned() + last
}

async fn generate_key(directory: &Path, zone: &str) -> anyhow::Result<()> {
    let kind = ["algorithm=ecdsap256sha256", "ksk=yes", "zsk=yes"];
    keymgr(directory, &[&[zone, "generate"][..], &kind].concat()).await.map(drop)
}

async fn keymgr(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    of_knot("keymgr", directory, arguments).await
}

async fn of_knot(program: &str, directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(tool(program)?);
    command.arg("-c").arg(directory.join(KNOT)).args(arguments);
    let printed = run(command, directory).await?.success()?;
    ensure!(!printed.contains("error:"), "{program} {arguments:?}: {printed}");
    Ok(printed)
}
