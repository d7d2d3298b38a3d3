//! What most tests of one server need: the server, an account, and a web server for its challenges.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{AccountKey, Certmill, ChallengeServer, RawClient, Reply, Setup};

/// A server on the embedded log with one account.
pub struct Scene {
    /// The server.
    pub server: Certmill,
    /// A client with an account.
    pub client: RawClient,
    /// Where the challenges of `*.localhost` are answered.
    pub web: ChallengeServer,
}

/// A refusal that is expected: the status and the type without its namespace.
pub type Refused = (u16, &'static str);

impl Scene {
    /// Starts with the development configuration.
    ///
    /// # Errors
    /// When the server does not become ready.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(|setup| setup).await
    }

    /// Starts with a configuration that differs.
    ///
    /// # Errors
    /// When the server does not become ready.
    pub async fn with(change: impl FnOnce(Setup) -> Setup) -> anyhow::Result<Self> {
        let web = ChallengeServer::start().await?;
        let setup = Setup::embedded().set("validation.http01_port", web.port());
        Self::assemble(change(setup), web).await
    }

    /// Starts a server that is set up already.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn over(setup: Setup) -> anyhow::Result<Self> {
        let web = ChallengeServer::start().await?;
        Self::assemble(setup.set("validation.http01_port", web.port()), web).await
    }

    async fn assemble(setup: Setup, web: ChallengeServer) -> anyhow::Result<Self> {
        let server = setup.start().await?;
        let client = RawClient::register(&server.directory_url(), &server.root()).await?;
        Ok(Self { server, client, web })
    }

    /// Another client of the default directory, with an account of its own.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn stranger(&self) -> anyhow::Result<RawClient> {
        RawClient::register(&self.server.directory_url(), &self.server.root()).await
    }

    /// A client of the default directory that has no account yet.
    ///
    /// # Errors
    /// When there is no directory.
    pub async fn newcomer(&self, key: AccountKey) -> anyhow::Result<RawClient> {
        RawClient::connect(&self.server.directory_url(), &self.server.root(), key).await
    }

    /// Does something that the server must refuse throughout, and checks that it stays unimpressed: no event, no
    /// failure of its own, no panic.
    ///
    /// # Errors
    /// When it is impressed.
    pub async fn unimpressed(
        &mut self,
        hostile: impl AsyncFnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let before = self.server.events().await?;
        hostile(self).await?;
        let after = self.server.events().await?;
        ensure!(after.len() == before.len(), "events were written: {:?}", &after[before.len()..]);
        let requests = "certmill_http_requests_total";
        ensure!(self.server.metric(requests).await? > 0.0, "{requests} counts nothing");
        let failures = self.server.metric_where(requests, "status=\"5").await?;
        ensure!(failures == 0.0, "{failures} requests were answered with 5xx");
        let log = self.server.process()?.log_tail();
        ensure!(!log.contains("panicked"), "the server panicked");
        Ok(())
    }
}

impl Reply {
    /// Passes when the reply is the refusal expected, with all that every refused POST has: a problem document that says
    /// nothing it should not, a fresh nonce and the way back to the directory.
    ///
    /// # Errors
    /// When it is something else.
    pub fn refused(&self, (status, kind): Refused) -> anyhow::Result<Value> {
        let answered = self.problem_type().context("a problem document was expected")?;
        ensure!(
            (self.status, answered.as_str()) == (status, kind),
            "{} {answered} instead of {status} {kind}: {}",
            self.status,
            self.text()
        );
        ensure!(self.header("replay-nonce").is_some(), "no nonce in {:?}", self.headers);
        ensure!(!self.links("index").is_empty(), "no index in {:?}", self.headers);
        self.problem()
    }
}
