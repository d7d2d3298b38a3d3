//! Certmill in several processes on NATS JetStream and Redis: api nodes behind a proxy, workers, a projector.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use crate::{
    Certmill, Nats, RedisServer, RoundRobinProxy, Setup, free_port, ports::loopback,
    tls::ServerCertificate,
};

/// A running cluster; dropping it kills it.
pub struct Cluster {
    /// The nodes that answer clients.
    pub api: Vec<Certmill>,
    /// The validators that are processes of their own.
    pub validators: Vec<Certmill>,
    /// The signer, and the validator where none is a process of its own.
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
    files: TempDir,
}

/// How many processes there are of those that there may be several of.
#[derive(Clone, Copy)]
struct Size {
    api: usize,
    validators: usize,
}

const SMALL: Size = Size { api: 2, validators: 0 };
const FLEET: Size = Size { api: 3, validators: 2 };

impl Cluster {
    /// Starts two api nodes and one process for validator and signer, on one NATS server.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start(setup: Setup) -> anyhow::Result<Self> {
        Self::start_on(Nats::single().await?, RedisServer::start().await?, setup).await
    }

    /// The same on three NATS servers that sync before they acknowledge.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start_replicated(setup: Setup) -> anyhow::Result<Self> {
        Self::start_on(Nats::cluster().await?, RedisServer::start().await?, setup).await
    }

    /// The same on servers that are there.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start_on(nats: Nats, redis: RedisServer, setup: Setup) -> anyhow::Result<Self> {
        Self::start_sized((nats, redis), SMALL, setup).await
    }

    /// Starts three api nodes, two validators and a signer, with a Redis that keeps what it knows on disk.
    ///
    /// # Errors
    /// When a part does not become ready.
    pub async fn start_fleet(nats: Nats, setup: Setup) -> anyhow::Result<Self> {
        Self::start_sized((nats, RedisServer::start_persistent().await?), FLEET, setup).await
    }

    async fn start_sized(
        (nats, redis): (Nats, RedisServer),
        size: Size,
        setup: Setup,
    ) -> anyhow::Result<Self> {
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
        let signer = setup.clone().role("signer");
        let workers = if size.validators == 0 { signer.role("validator") } else { signer };
        let workers = workers.start_as("workers").await?;
        let mut validators = Vec::new();
        for number in 0..size.validators {
            let validator = setup.clone().role("validator");
            validators.push(validator.start_as(&format!("validator-{number}")).await?);
        }
        let projector = setup.clone().role("projector").start_as("projector").await?;
        let mut api = Vec::new();
        for name in ["api-a", "api-b", "api-c"].into_iter().take(size.api) {
            let mut node = setup.clone().role("api").prepare(name)?;
            node.use_certificate(&certificate);
            node.start().await?;
            api.push(node);
        }
        let backends = api.iter().map(|node| loopback(node.port())).collect();
        let proxy = RoundRobinProxy::start(port, backends).await?;
        Ok(Self {
            api,
            validators,
            workers,
            projector,
            nats,
            redis,
            port,
            certificate,
            _proxy: proxy,
            files,
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

    /// Replaces the certificate of the api nodes on disk, as Kubernetes renews a mounted secret.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn renew_certificate(&self) -> anyhow::Result<()> {
        ServerCertificate::make(self.files.path()).map(drop)
    }

    /// The root that the issued certificates lead to.
    pub fn root(&self) -> PathBuf {
        self.workers.root()
    }
}
