//! A cluster with one account, seen through each of its two api nodes.

use acceptance::{ChallengeServer, Cluster, RawClient, Setup};

pub(crate) struct Town {
    pub(crate) cluster: Cluster,
    pub(crate) web: ChallengeServer,
    /// The same account at the first and at the second node.
    pub(crate) at: [RawClient; 2],
}

impl Town {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::with(Cluster::start).await
    }

    /// Starts with a configuration that differs.
    pub(crate) async fn configured(change: impl FnOnce(Setup) -> Setup) -> anyhow::Result<Self> {
        Self::with(async |setup| Cluster::start(change(setup)).await).await
    }

    pub(crate) async fn with(
        start: impl AsyncFnOnce(Setup) -> anyhow::Result<Cluster>,
    ) -> anyhow::Result<Self> {
        let web = ChallengeServer::start().await?;
        let setup = Setup::embedded().set("validation.http01_port", web.port());
        let cluster = start(setup).await?;
        let client = RawClient::register(&cluster.directory_url(), &cluster.trust()).await?;
        let [first, second] = [0, 1].map(|node| client.at_node(cluster.api[node].port()));
        let at = [first?, second?];
        Ok(Self { cluster, web, at })
    }
}
