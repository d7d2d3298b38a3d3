//! What both servers are asked, one request after the other: good ones, and every kind of bad one.

mod accounts;
mod certificates;
mod jws;
mod key_change;
mod orders;
mod proofs;
mod resources;

use std::path::PathBuf;

use acceptance::{AccountKey, ChallengeServer, RawClient, Reply};

use crate::observed::{self, Facts};

/// One request, and what was seen of the reply.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) facts: Facts,
}

/// A server, an account there, and what was seen so far.
pub(crate) struct Script<'web> {
    directory: String,
    trust: PathBuf,
    web: &'web ChallengeServer,
    client: RawClient,
    steps: Vec<Step>,
}

impl<'web> Script<'web> {
    /// Asks a server everything.
    pub(crate) async fn play(
        directory: String,
        trust: PathBuf,
        web: &'web ChallengeServer,
    ) -> anyhow::Result<Vec<Step>> {
        let client = RawClient::register(&directory, &trust).await?;
        let mut script = Self { directory, trust, web, client, steps: Vec::new() };
        script.resources().await?;
        script.jws().await?;
        script.accounts().await?;
        script.key_change().await?;
        script.orders().await?;
        script.proofs().await?;
        script.certificates().await?;
        Ok(script.steps)
    }

    /// Keeps all that a reply shows.
    fn note(&mut self, name: &'static str, reply: anyhow::Result<Reply>) -> anyhow::Result<Reply> {
        let reply = reply?;
        self.steps.push(Step { name, facts: observed::whole(&reply) });
        Ok(reply)
    }

    /// Keeps what does not depend on whether the server has worked on it already.
    fn note_head(
        &mut self,
        name: &'static str,
        reply: anyhow::Result<Reply>,
    ) -> anyhow::Result<Reply> {
        let reply = reply?;
        self.steps.push(Step { name, facts: observed::head(&reply) });
        Ok(reply)
    }

    /// A client with a new key and no account.
    async fn newcomer(&self) -> anyhow::Result<RawClient> {
        RawClient::connect(&self.directory, &self.trust, AccountKey::p256()?).await
    }

    /// A client with another account.
    async fn stranger(&self) -> anyhow::Result<RawClient> {
        self.newcomer().await?.with_account().await
    }
}

/// The URL of something that does not exist, like that of something that does.
fn absent(url: &str) -> String {
    // In the id, whichever server's it is and whatever follows it.
    let place = url.len().saturating_sub(13);
    let flip = |(at, letter)| match (at == place, letter) {
        (true, 'a') => 'b',
        (true, _) => 'a',
        (false, letter) => letter,
    };
    url.char_indices().map(flip).collect()
}
