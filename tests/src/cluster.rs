//! Certmill in several processes on NATS JetStream and Redis: two api nodes behind a proxy, workers, a projector.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use crate::{
    Certmill, Nats, RedisServer, RoundRobinProxy, Setup, free_port, ports::loopback,
    tls::ServerCertificate,
};

/// A running cluster; dropping it kills it.
pub struct Cluster {
    /// The two nodes that answer clients.
    pub api: [Certmill; 2],
    /// Validator and signer.
    pub workers: Certmill,
    /// What keeps the read model complete.
    pub projector: Certmill,
    /// The event log's servers.
    pub nats: Nats,
    /// The read model's server.
    pub redis: RedisServer,
    port: u16,
    certificate: ServerCertificate,
    _proxy: RoundRobinProxy,
    _files: TempDir,
}

impl Cluster {
    /// Starts everything on one NATS server.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start(setup: Setup) -> anyhow::Result<Self> {
        Self::start_on(Nats::single().await?, RedisServer::start().await?, setup).await
    }

    /// Starts everything on three NATS servers that sync before they acknowledge.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start_replicated(setup: Setup) -> anyhow::Result<Self> {
        Self::start_on(Nats::cluster().await?, RedisServer::start().await?, setup).await
    }

    /// Starts everything on servers that are there.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start_on(nats: Nats, redis: RedisServer, setup: Setup) -> anyhow::Result<Self> {
        let files = TempDir::new()?;
        let certificate = ServerCertificate::make(files.path())?;
        let port = free_port()?;
        let servers = nats.servers();
        let setup = setup
            .set("api.base_url", format!("https://localhost:{port}"))
            .set("event_log.kind", "jetstream")
            .set("event_log.servers", json!(servers))
            .set("event_log.monitor_urls", json!(nats.monitor_urls()))
            .set("event_log.replicas", servers.len())
            .set("event_log.allow_unsafe_dev", servers.len() == 1)
            .set("event_log.order_shards", 4)
            .set("redis.url", redis.url());
        let workers = setup.clone().role("validator").role("signer");
        let workers = workers.start_as("workers").await?;
        let projector = setup.clone().role("projector").start_as("projector").await?;
        let node = async |name| {
            let mut node = setup.clone().role("api").prepare(name)?;
            node.use_certificate(&certificate);
            node.start().await?;
            Ok::<_, anyhow::Error>(node)
        };
        let api = [node("api-a").await?, node("api-b").await?];
        let backends = api.iter().map(|node| loopback(node.port())).collect();
        let proxy = RoundRobinProxy::start(port, backends).await?;
        Ok(Self {
            api,
            workers,
            projector,
            nats,
            redis,
            port,
            certificate,
            _proxy: proxy,
            _files: files,
        })
    }

    /// The default directory, behind the proxy.
    pub fn directory_url(&self) -> String {
        format!("https://localhost:{}/acme/directory", self.port)
    }

    /// What clients trust when they connect.
    pub fn trust(&self) -> PathBuf {
        self.certificate.chain.clone()
    }

    /// The root that the issued certificates lead to.
    pub fn root(&self) -> PathBuf {
        self.workers.root()
    }
}
