//! NATS JetStream, alone or as a cluster of three.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Process, copy_directory, eventually, free_port, ports::loopback, raw_client, tool};

/// How long a server, or the election of a cluster's leader, may take.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// The size of a cluster that survives the loss of one server.
const CLUSTER_SIZE: usize = 3;
/// Who connects where a password is wanted.
const USER: &str = "certmill";

/// Running servers; dropping them kills them.
pub struct Nats {
    nodes: Vec<Node>,
    password: Option<&'static str>,
    files: TempDir,
}

struct Node {
    name: String,
    client: u16,
    monitor: u16,
    route: u16,
    process: Option<Process>,
}

impl Nats {
    /// Starts one server.
    ///
    /// # Errors
    /// When it does not become healthy.
    pub async fn single() -> anyhow::Result<Self> {
        Self::start(1, None).await
    }

    /// Starts one server that wants a password of the user `certmill`.
    ///
    /// # Errors
    /// When it does not become healthy.
    pub async fn single_behind(password: &'static str) -> anyhow::Result<Self> {
        Self::start(1, Some(password)).await
    }

    /// Starts a cluster of three that syncs each message before it is acknowledged.
    ///
    /// # Errors
    /// When it does not become healthy.
    pub async fn cluster() -> anyhow::Result<Self> {
        Self::start(CLUSTER_SIZE, None).await
    }

    async fn start(size: usize, password: Option<&'static str>) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for number in 0..size {
            nodes.push(Node {
                name: format!("nats-{number}"),
                client: free_port()?,
                monitor: free_port()?,
                route: free_port()?,
                process: None,
            });
        }
        let mut nats = Self { nodes, password, files: TempDir::new()? };
        for number in 0..size {
            nats.spawn(number)?;
        }
        for number in 0..size {
            nats.wait_until_healthy(number).await?;
        }
        Ok(nats)
    }

    /// The URLs that clients connect to.
    pub fn servers(&self) -> Vec<String> {
        let user = self.password.map_or(String::new(), |password| format!("{USER}:{password}@"));
        self.nodes.iter().map(|node| format!("nats://{user}{}", loopback(node.client))).collect()
    }

    /// The URLs under which each server tells how it is configured.
    pub fn monitor_urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("http://{}", loopback(node.monitor))).collect()
    }

    /// Kills one server.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let mut process = self.nodes[number].process.take().context("the server does not run")?;
        process.kill().await
    }

    /// How many servers there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Asks one server to end.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(&mut self, number: usize) -> anyhow::Result<()> {
        let mut process = self.nodes[number].process.take().context("the server does not run")?;
        process.terminate(STOP_LIMIT).await.map(drop)
    }

    /// Lets one server hang.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self, number: usize) -> anyhow::Result<()> {
        let process = self.nodes[number].process.as_ref().context("the server does not run")?;
        process.pause().await
    }

    /// Lets one server lose all that it had stored; it runs again, empty.
    ///
    /// # Errors
    /// When it does not become healthy.
    pub async fn lose(&mut self, number: usize) -> anyhow::Result<()> {
        self.kill(number).await?;
        std::fs::remove_dir_all(self.files.path().join(&self.nodes[number].name))?;
        self.restart(number).await
    }

    /// Lets all servers lose all that they had stored, so that none gets it back from another; they run again, empty.
    ///
    /// # Errors
    /// When one does not become healthy.
    pub async fn lose_all(&mut self) -> anyhow::Result<()> {
        for number in 0..self.size() {
            self.kill(number).await?;
            std::fs::remove_dir_all(self.files.path().join(&self.nodes[number].name))?;
        }
        for number in 0..self.size() {
            self.spawn(number)?;
        }
        for number in 0..self.size() {
            self.wait_until_healthy(number).await?;
        }
        Ok(())
    }

    /// Copies what one server has stored, which is stopped meanwhile.
    ///
    /// # Errors
    /// When it does not stop or become healthy.
    pub async fn copy(&mut self, number: usize) -> anyhow::Result<TempDir> {
        let copy = TempDir::new()?;
        self.stop(number).await?;
        copy_directory(&self.files.path().join(&self.nodes[number].name), copy.path())?;
        self.restart(number).await?;
        Ok(copy)
    }

    /// Gives one server a copy in place of what it has stored; it runs again.
    ///
    /// # Errors
    /// When it does not become healthy.
    pub async fn put_back(&mut self, number: usize, copy: &Path) -> anyhow::Result<()> {
        self.kill(number).await?;
        let stored = self.files.path().join(&self.nodes[number].name);
        std::fs::remove_dir_all(&stored)?;
        copy_directory(copy, &stored)?;
        self.restart(number).await
    }

    /// Starts one server again on what it had stored.
    ///
    /// # Errors
    /// When it does not become healthy.
    pub async fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        self.spawn(number)?;
        self.wait_until_healthy(number).await
    }

    fn spawn(&mut self, number: usize) -> anyhow::Result<()> {
        let node = &self.nodes[number];
        let file = self.files.path().join(format!("{}.conf", node.name));
        // The server's own notation contains JSON.
        std::fs::write(&file, serde_json::to_vec_pretty(&self.config(node))?)?;
        let mut command = Command::new(tool("nats-server")?);
        command.arg("-c").arg(file);
        let process = Process::start(&node.name, command, self.files.path())?;
        self.nodes[number].process = Some(process);
        Ok(())
    }

    fn config(&self, node: &Node) -> serde_json::Value {
        let mut config = json!({
            "server_name": node.name,
            "listen": loopback(node.client),
            "http": loopback(node.monitor),
            "jetstream": { "store_dir": self.files.path().join(&node.name) },
        });
        if let Some(password) = self.password {
            config["authorization"] = json!({ "user": USER, "password": password });
        }
        if self.nodes.len() > 1 {
            config["jetstream"]["sync_interval"] = json!("always");
            let route = |node: &Node| format!("nats://{}", loopback(node.route));
            let routes: Vec<_> = self.nodes.iter().map(route).collect();
            config["cluster"] =
                json!({ "name": "test", "listen": loopback(node.route), "routes": routes });
        }
        config
    }

    async fn wait_until_healthy(&mut self, number: usize) -> anyhow::Result<()> {
        let node = &mut self.nodes[number];
        let process = node.process.as_mut().context("the server does not run")?;
        let url = format!("http://{}/healthz", loopback(node.monitor));
        let client = raw_client::http()?;
        eventually("nats-server is healthy", START_LIMIT, async || {
            process.check_running()?;
            let answer = client.get(&url).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        })
        .await
    }
}
