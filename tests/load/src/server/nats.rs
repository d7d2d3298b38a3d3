//! NATS JetStream, alone or as a cluster of three.

use std::{path::Path, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use super::{Setup, free_ports, loopback, tools, wait_until};
use crate::process::Process;

/// A server that does not say by then how it is is not well.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// What an acknowledgement means.
#[derive(Clone, Copy)]
pub(super) enum Durability {
    /// Written, synced later: NATS's default.
    Lazy,
    /// Synced.
    Always,
    /// Synced by a majority of three.
    Replicated,
}

impl Durability {
    pub(super) fn replicas(self) -> usize {
        match self {
            Self::Lazy | Self::Always => 1,
            Self::Replicated => 3,
        }
    }
}

pub(super) struct Nats {
    pub(super) processes: Vec<Process>,
    pub(super) servers: Vec<String>,
    pub(super) monitor_urls: Vec<String>,
}

/// The ports of one server.
struct Ports {
    client: u16,
    monitor: u16,
    route: u16,
}

pub(super) async fn start(
    setup: &Setup<'_>,
    files: &Path,
    durability: Durability,
) -> anyhow::Result<Nats> {
    let [a, b, c, d, e, f, g, h, i] = free_ports()?;
    let mut nodes = [(a, b, c), (d, e, f), (g, h, i)]
        .map(|(client, monitor, route)| Ports { client, monitor, route })
        .into_iter()
        .collect::<Vec<_>>();
    nodes.truncate(durability.replicas());

    let program = tools::find("nats-server", setup.options)?;
    let mut processes = Vec::new();
    for (number, ports) in nodes.iter().enumerate() {
        let name = if nodes.len() == 1 {
            "nats-server".to_owned()
        } else {
            format!("nats-server-{number}")
        };
        let config = config(&files.join(&name), &name, ports, (&nodes, durability));
        // The server's own notation contains JSON.
        let config_file = files.join(format!("{name}.conf"));
        std::fs::write(&config_file, serde_json::to_vec_pretty(&config)?)?;
        let mut command = Command::new(&program);
        command.arg("-c").arg(config_file);
        processes.push(Process::start(&name, command, files)?);
    }
    for ports in &nodes {
        wait_until(&mut processes, async || {
            let healthy = timeout(HEALTH_TIMEOUT, is_healthy(ports.monitor)).await;
            healthy.is_ok_and(|it| it.unwrap_or(false)).then_some(())
        })
        .await?;
    }
    Ok(Nats {
        processes,
        servers: nodes.iter().map(|it| format!("nats://{}", loopback(it.client))).collect(),
        monitor_urls: nodes.iter().map(|it| format!("http://{}", loopback(it.monitor))).collect(),
    })
}

fn config(
    store: &Path,
    name: &str,
    ports: &Ports,
    (nodes, durability): (&[Ports], Durability),
) -> serde_json::Value {
    let mut jetstream = json!({ "store_dir": store });
    match durability {
        Durability::Lazy => {}
        Durability::Always | Durability::Replicated => jetstream["sync_interval"] = json!("always"),
    }
    let mut config = json!({
        "server_name": name,
        "listen": loopback(ports.client),
        "http": loopback(ports.monitor),
        "jetstream": jetstream,
    });
    if nodes.len() > 1 {
        let routes: Vec<_> =
            nodes.iter().map(|node| format!("nats://{}", loopback(node.route))).collect();
        config["cluster"] =
            json!({ "name": "load", "listen": loopback(ports.route), "routes": routes });
    }
    config
}

/// Whether JetStream is ready, in a cluster with a leader.
async fn is_healthy(monitor: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(loopback(monitor)).await?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
    let mut reply = Vec::new();
    stream.take(1024).read_to_end(&mut reply).await?;
    let status = reply.split(u8::is_ascii_whitespace).nth(1);
    Ok(status == Some(b"200"))
}
