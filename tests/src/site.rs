//! A running CA with its applicants' surroundings, whichever way it stores what it knows.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::{Certmill, Cluster, DnsServer, Setup, free_port};

/// A CA as clients see it, with the DNS of its applicants.
pub struct Site {
    backend: Backend,
    /// Where http-01 and tls-alpn-01 challenges are to be answered.
    pub http01_port: u16,
    /// Every name is on this machine, and TXT records can be set.
    pub dns: DnsServer,
    /// A directory for the client under test.
    pub client: TempDir,
}

enum Backend {
    Embedded(Box<Certmill>),
    Cluster(Box<Cluster>),
}

impl Site {
    /// One process on the embedded log.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn embedded(http01_port: u16) -> anyhow::Result<Self> {
        Self::embedded_with(http01_port, |setup| setup).await
    }

    /// The same with a configuration that differs.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn embedded_with(
        http01_port: u16,
        change: impl FnOnce(Setup) -> Setup,
    ) -> anyhow::Result<Self> {
        let dns = DnsServer::start().await?;
        let server = change(Self::setup(http01_port, &dns)).start().await?;
        Self::with(Backend::Embedded(server.into()), http01_port, dns)
    }

    /// Several processes on JetStream and Redis, with two api nodes behind a proxy.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn cluster(http01_port: u16) -> anyhow::Result<Self> {
        Self::cluster_with(http01_port, |setup| setup).await
    }

    /// The same with a configuration that differs.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn cluster_with(
        http01_port: u16,
        change: impl FnOnce(Setup) -> Setup,
    ) -> anyhow::Result<Self> {
        let dns = DnsServer::start().await?;
        let cluster = Cluster::start(change(Self::setup(http01_port, &dns))).await?;
        Self::with(Backend::Cluster(cluster.into()), http01_port, dns)
    }

    /// A port for a client that answers its challenges itself.
    ///
    /// # Errors
    /// When there is none.
    pub fn challenge_port() -> anyhow::Result<u16> {
        free_port()
    }

    fn setup(http01_port: u16, dns: &DnsServer) -> Setup {
        Setup::embedded()
            .set("validation.http01_port", http01_port)
            .set("validation.tls_alpn01_port", http01_port)
            .set("profile", r#"[{name="default", identifier_types=["dns", "ip"]}]"#)
            .set("validation.dns_resolver", dns.address())
            // As in production, where whoever checks a certificate cannot ask for it by HTTPS.
            .set("ca.crl_base_url", "http://crl.example.com/crl")
            .set("ca.issuer_url", "http://crl.example.com/issuer.cer")
    }

    fn with(backend: Backend, http01_port: u16, dns: DnsServer) -> anyhow::Result<Self> {
        Ok(Self { backend, http01_port, dns, client: TempDir::new()? })
    }

    /// The URL of the default directory.
    pub fn directory_url(&self) -> String {
        match &self.backend {
            Backend::Embedded(server) => server.directory_url(),
            Backend::Cluster(cluster) => cluster.directory_url(),
        }
    }

    /// What clients trust when they connect.
    pub fn trust(&self) -> PathBuf {
        match &self.backend {
            Backend::Embedded(server) => server.root(),
            Backend::Cluster(cluster) => cluster.trust(),
        }
    }

    /// The root that the issued certificates lead to.
    pub fn root(&self) -> PathBuf {
        match &self.backend {
            Backend::Embedded(server) => server.root(),
            Backend::Cluster(cluster) => cluster.root(),
        }
    }

    /// The process that an operator's commands go to.
    pub fn operator(&self) -> &Certmill {
        match &self.backend {
            Backend::Embedded(server) => server,
            Backend::Cluster(cluster) => &cluster.workers,
        }
    }
}
