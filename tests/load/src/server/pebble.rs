//! Pebble, without its deliberate delays and refusals.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use super::{Roots, Setup, Started, free_ports, loopback, tools, write_tls_certificate};
use crate::process::Process;

/// Starts it with CA keys of `key_algorithm`, `ecdsa` or `rsa`.
pub(super) fn start(
    setup: &Setup<'_>,
    files: &Path,
    key_algorithm: &str,
) -> anyhow::Result<Started> {
    let [port] = free_ports()?;
    let root = write_tls_certificate(files)?;
    let config = json!({ "pebble": {
        "listenAddress": loopback(port),
        "certificate": files.join("tls.pem"),
        "privateKey": files.join("tls.key"),
        "httpPort": setup.http01.port(),
        "tlsPort": setup.http01.port(),
        "keyAlgorithm": key_algorithm,
    }});
    let config_file = files.join("pebble.json");
    std::fs::write(&config_file, serde_json::to_vec(&config)?)?;
    let mut command = Command::new(tools::find("pebble", setup.options)?);
    command
        .arg("-config")
        .arg(config_file)
        .args(["-dnsserver", &setup.dns.to_string()])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_WFE_NONCEREJECT", "0");
    let process = Process::start("pebble", command, files)?;
    Ok(Started {
        processes: vec![process],
        port,
        directory_path: "/dir",
        roots: Roots::Known(root),
    })
}
