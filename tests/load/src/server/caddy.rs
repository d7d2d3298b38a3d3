//! Caddy with nothing but its acme_server.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use super::{Roots, Setup, Started, free_ports, loopback, tools, write_tls_certificate};
use crate::process::Process;

pub(super) fn start(setup: &Setup<'_>, files: &Path) -> anyhow::Result<Started> {
    let [port] = free_ports()?;
    let root = write_tls_certificate(files)?;
    let config = json!({
        "admin": { "disabled": true },
        "storage": { "module": "file_system", "root": files },
        "logging": { "logs": { "default": { "level": "ERROR" } } },
        "apps": {
            "pki": { "certificate_authorities": { "local": { "install_trust": false } } },
            "tls": { "certificates": { "load_files": [{
                "certificate": files.join("tls.pem"),
                "key": files.join("tls.key"),
            }] } },
            "http": { "servers": { "acme": {
                "listen": [loopback(port).to_string()],
                "protocols": ["h1"],
                "automatic_https": { "disable": true },
                "tls_connection_policies": [{}],
                "routes": [{ "handle": [{ "handler": "acme_server", "challenges": ["http-01"] }] }],
            } } },
        },
    });
    let config_file = files.join("caddy.json");
    std::fs::write(&config_file, serde_json::to_vec(&config)?)?;
    let mut command = Command::new(tools::find("caddy", setup.options)?);
    command
        .arg("run")
        .arg("--config")
        .arg(config_file)
        .env("XDG_DATA_HOME", files)
        .env("XDG_CONFIG_HOME", files)
        // It always validates at port 80, but through the proxy the environment names: the responder is that proxy. This
        // spares Caddy looking up the name.
        .env("HTTP_PROXY", format!("http://{}", setup.http01));
    let process = Process::start("caddy", command, files)?;
    Ok(Started {
        processes: vec![process],
        port,
        directory_path: "/acme/local/directory",
        roots: Roots::Known(root),
    })
}
