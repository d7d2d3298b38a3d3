//! Certmill: all roles in one process, on the embedded log or on NATS and Redis.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use super::{Roots, Setup, Started, free_ports, loopback, nats, redis, tools};
use crate::process::Process;

pub(super) fn embedded(setup: &Setup<'_>, files: &Path) -> anyhow::Result<Started> {
    start(setup, files, Vec::new())
}

pub(super) async fn cluster(
    setup: &Setup<'_>,
    files: &Path,
    durability: nats::Durability,
) -> anyhow::Result<Started> {
    let nats = nats::start(setup, files, durability).await?;
    let redis = redis::start(setup, files).await?;
    // Only the recommended cluster does without the flag.
    let unsafe_dev = match durability {
        nats::Durability::Lazy | nats::Durability::Always => true,
        nats::Durability::Replicated => false,
    };
    let settings = vec![
        "event_log.kind=jetstream".to_owned(),
        format!("event_log.servers={}", json!(nats.servers)),
        format!("event_log.monitor_urls={}", json!(nats.monitor_urls)),
        format!("event_log.replicas={}", durability.replicas()),
        format!("event_log.allow_unsafe_dev={unsafe_dev}"),
        format!("redis.url={}", redis.url),
    ];
    let mut started = start(setup, files, settings)?;
    started.processes.extend(nats.processes);
    started.processes.push(redis.process);
    Ok(started)
}

fn start(setup: &Setup<'_>, files: &Path, settings: Vec<String>) -> anyhow::Result<Started> {
    let [port, ops_port] = free_ports()?;
    let data = files.join("data");
    let mut all = vec![
        format!("data_dir={}", data.display()),
        format!("api.listen={}", loopback(port)),
        format!("api.base_url=https://localhost:{port}"),
        format!("ops.listen={}", loopback(ops_port)),
        format!("validation.http01_port={}", setup.http01.port()),
    ];
    if !setup.options.certmill_without_dns {
        all.push(format!("validation.dns_resolver={}", setup.dns));
    }
    all.extend(settings);
    all.extend(setup.options.certmill_set.iter().cloned());

    let program = tools::program(&setup.options.certmill)?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(&setup.options.certmill_config);
    for setting in all {
        command.arg("--set").arg(setting);
    }
    Ok(Started {
        processes: vec![Process::start("certmill", command, files)?],
        port,
        directory_path: "/acme/directory",
        roots: Roots::File(data.join("ca/root.pem")),
    })
}
