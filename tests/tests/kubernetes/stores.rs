//! The values for the charts of NATS and Valkey: servers that are configured so are taken by a signer without allowances.

use std::{collections::BTreeMap, path::Path, time::Duration};

use acceptance::{Process, Setup, eventually, free_port, tool, workspace};
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::{
    chart::{over, yaml},
    permissions::{converse, printed},
};

const START_LIMIT: Duration = Duration::from_secs(20);
const ORDER_SHARDS: u8 = 2;

/// The ports of one nats-server.
struct Node {
    client: u16,
    monitor: u16,
    route: u16,
}

impl Node {
    /// What its monitoring port says.
    async fn monitor(&self, path: &str) -> anyhow::Result<Value> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.monitor)).await?;
        connection.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        Ok(serde_json::from_str(body)?)
    }
}

fn example(name: &str) -> anyhow::Result<Value> {
    let file = workspace().join("k8s/examples/stores").join(name);
    yaml(&std::fs::read_to_string(file)?)?.into_iter().next().context("values")
}

/// The configuration as the chart of NATS writes it: `<< … >>` stands for what has no quotes, `$include` for a directive.
fn nats_conf(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: String = members
                .iter()
                .map(|(key, value)| match key.strip_suffix("$include") {
                    Some(_) => format!("include {};\n", value.as_str().unwrap_or_default()),
                    None => format!("{key:?}: {}\n", nats_conf(value)),
                })
                .collect();
            format!("{{ {members} }}")
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(nats_conf).collect();
            format!("[ {} ]", items.join(", "))
        }
        Value::String(text) => match text.strip_prefix("<<").and_then(|it| it.strip_suffix(">>")) {
            Some(raw) => raw.trim().to_owned(),
            None => format!("{text:?}"),
        },
        other => other.to_string(),
    }
}

/// Starts as many servers as the values say, each role's password being its name. TLS is left out.
async fn start_nats(files: &Path) -> anyhow::Result<(Vec<Node>, Vec<Process>)> {
    let values = example("nats.yaml")?;
    let config = &values["config"];
    let permissions = files.join("nats-permissions");
    std::fs::create_dir(&permissions)?;
    std::fs::write(permissions.join("nats-permissions.conf"), printed(ORDER_SHARDS, &[]).await?)?;
    let replicas = config["cluster"]["replicas"].as_u64().context("a number of replicas")?;
    let mut nodes = Vec::new();
    for _ in 0..replicas {
        nodes.push(Node { client: free_port()?, monitor: free_port()?, route: free_port()? });
    }
    let routes: Vec<_> =
        nodes.iter().map(|node| format!("nats://127.0.0.1:{}", node.route)).collect();
    let environment: BTreeMap<_, _> = values["container"]["env"]
        .as_object()
        .context("an environment")?
        .iter()
        .map(|(name, source)| (name, source["valueFrom"]["secretKeyRef"]["key"].as_str()))
        .collect();
    let mut processes = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let here = json!({
            "server_name": format!("nats-{number}"),
            "listen": format!("127.0.0.1:{}", node.client),
            "http": format!("127.0.0.1:{}", node.monitor),
            "cluster": {
                "name": "nats", "listen": format!("127.0.0.1:{}", node.route), "routes": routes,
            },
            "jetstream": over(
                json!({ "store_dir": files.join(format!("store-{number}")) }),
                &config["jetstream"]["merge"],
            ),
        });
        let directory = files.join(format!("nats-{number}"));
        std::fs::create_dir(&directory)?;
        let conf = directory.join("nats.conf");
        std::fs::write(&conf, nats_conf(&over(here, &config["merge"])))?;
        let mut command = Command::new(tool("nats-server")?);
        command.arg("-c").arg(&conf);
        for (name, key) in &environment {
            command.env(name, key.context("the key of a Secret")?);
        }
        processes.push(Process::start(&format!("nats-{number}"), command, files)?);
    }
    Ok((nodes, processes))
}

async fn start_redis(files: &Path, port: u16) -> anyhow::Result<Process> {
    let values = example("valkey.yaml")?;
    let conf = files.join("valkey.conf");
    std::fs::write(&conf, values["valkeyConfig"].as_str().context("a configuration")?)?;
    let users = printed(ORDER_SHARDS, &["--redis"]).await?;
    std::fs::write(files.join("users.acl"), users.replace("SIGNER_PASSWORD", "signer"))?;
    let mut command = Command::new(tool("redis-server")?);
    command.arg(conf).args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    // Without a limit nothing would be evicted whatever the policy is.
    command.args(["--maxmemory", "64mb", "--aclfile"]).arg(files.join("users.acl"));
    Process::start("redis-server", command, files)
}

#[tokio::test]
async fn a_signer_takes_servers_with_the_settings_of_the_example() -> anyhow::Result<()> {
    let (files, redis) = (TempDir::new()?, free_port()?);
    let (nodes, _nats) = start_nats(files.path()).await?;
    let _redis = start_redis(files.path(), redis).await?;
    for node in &nodes {
        eventually("nats-server is healthy", START_LIMIT, async || {
            let health = node.monitor("/healthz").await;
            Ok(health.is_ok_and(|health| health["status"] == "ok").then_some(()))
        })
        .await?;
    }
    eventually("redis-server listens", START_LIMIT, async || {
        Ok(TcpStream::connect(("127.0.0.1", redis)).await.ok().map(drop))
    })
    .await?;
    let servers: Vec<_> = nodes
        .iter()
        .map(|node| format!("nats://signer:signer@127.0.0.1:{}", node.client))
        .collect();
    let monitors: Vec<_> =
        nodes.iter().map(|node| format!("http://127.0.0.1:{}", node.monitor)).collect();
    let signer = Setup::embedded()
        .role("signer")
        .set("event_log.kind", "jetstream")
        .set("event_log.servers", json!(servers))
        .set("event_log.monitor_urls", json!(monitors))
        .set("event_log.order_shards", ORDER_SHARDS)
        .set("redis.url", format!("redis://certmill-signer:signer@127.0.0.1:{redis}/0"))
        .start()
        .await?;
    drop(signer);

    let seen = nodes[0].monitor("/jsz?streams=true&config=true").await?;
    let streams = seen["account_details"][0]["stream_detail"].as_array().context("streams")?;
    ensure!(streams.len() >= 4 + usize::from(ORDER_SHARDS), "{seen}");
    for stream in streams {
        let config = &stream["config"];
        ensure!(config["num_replicas"] == 3 && config["storage"] == "file", "{stream}");
    }
    let mut connection = TcpStream::connect(("127.0.0.1", redis)).await?;
    let asked = b"AUTH certmill-signer signer\r\nINFO persistence\r\nPING\r\n";
    connection.write_all(asked).await?;
    ensure!(converse(&mut connection, "PONG").await?.contains("aof_enabled:1"));
    Ok(())
}
