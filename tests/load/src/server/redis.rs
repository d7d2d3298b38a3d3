//! Redis as certmill wants it: a cache that forgets nothing while it runs.

use std::path::Path;

use tokio::{net::TcpStream, process::Command};

use super::{Setup, free_ports, loopback, tools, wait_until};
use crate::process::Process;

pub(super) struct Redis {
    pub(super) process: Process,
    pub(super) url: String,
}

pub(super) async fn start(setup: &Setup<'_>, files: &Path) -> anyhow::Result<Redis> {
    let [port] = free_ports()?;
    let program = tools::find("redis-server", setup.options)?;
    let mut command = Command::new(program);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"])
        .arg("--dir")
        .arg(files);
    let mut process = Process::start("redis-server", command, files)?;
    wait_until(std::slice::from_mut(&mut process), async || {
        TcpStream::connect(loopback(port)).await.ok().map(drop)
    })
    .await?;
    Ok(Redis { process, url: format!("redis://127.0.0.1:{port}/0") })
}
