//! An account on one server: every signed request goes through here and is timed.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use http::Method;
use serde::Serialize;

use super::{
    connection::{Connection, Origin, Reply},
    key::AccountKey,
    wire::{Directory, NewAccount, Problem},
};
use crate::samples::{Samples, Step};

/// A refused nonce is normal (RFC 8555 §6.5); being refused this often in a row is not.
const MAX_BAD_NONCES: u32 = 3;
const BAD_NONCE: &str = "urn:ietf:params:acme:error:badNonce";

/// A client with an account.
pub(crate) struct Client {
    connection: Connection,
    directory: Directory,
    key: AccountKey,
    account: Option<String>,
    nonce: Option<String>,
    samples: Samples,
    counters: Counters,
}

/// What happened beside the steps that every issuance takes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counters {
    /// Questions for a resource that was not final yet.
    pub(crate) polls: u64,
    /// Requests that were repeated because their nonce was refused.
    pub(crate) bad_nonces: u64,
}

impl Counters {
    /// Adds the other's.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.polls += other.polls;
        self.bad_nonces += other.bad_nonces;
    }
}

/// The payload of a signed request.
pub(super) enum Payload {
    /// POST-as-GET (RFC 8555 §6.3).
    None,
    /// JSON.
    Json(String),
}

impl Payload {
    pub(super) fn of(value: &impl Serialize) -> anyhow::Result<Self> {
        Ok(Self::Json(serde_json::to_string(value)?))
    }

    fn text(&self) -> &str {
        match self {
            Self::None => "",
            Self::Json(text) => text,
        }
    }
}

impl Client {
    /// Connects and creates an account.
    pub(crate) async fn register(origin: Origin, directory_path: &str) -> anyhow::Result<Self> {
        let mut connection = Connection::new(origin);
        let url = connection.origin().url(directory_path);
        let directory = connection.fetch(Method::GET, &url).await?;
        ensure!(directory.status.is_success(), "the directory answers {}", directory.status);
        let mut client = Self {
            connection,
            directory: serde_json::from_slice(&directory.body)?,
            key: AccountKey::generate()?,
            account: None,
            nonce: None,
            samples: Samples::default(),
            counters: Counters::default(),
        };
        let url = client.directory.new_account.clone();
        let payload = Payload::of(&NewAccount { terms_of_service_agreed: true })?;
        let created = client.post(None, &url, &payload).await.context("newAccount")?;
        client.account = Some(created.header("location").context("no account URL")?.to_owned());
        Ok(client)
    }

    /// Whether the server answers under that path.
    pub(crate) async fn can_reach(origin: &Origin, directory_path: &str) -> bool {
        let url = origin.url(directory_path);
        let reply = Connection::new(origin.clone()).fetch(Method::GET, &url).await;
        reply.is_ok_and(|reply| reply.status.is_success())
    }

    /// Where orders are placed.
    pub(super) fn new_order_url(&self) -> &str {
        &self.directory.new_order
    }

    /// The account key.
    pub(super) fn key(&self) -> &AccountKey {
        &self.key
    }

    /// Sends a signed request and returns the reply, which is a success.
    ///
    /// # Errors
    /// When there is no reply or the server refuses, with what it says.
    pub(super) async fn post(
        &mut self,
        step: Option<Step>,
        url: &str,
        payload: &Payload,
    ) -> anyhow::Result<Reply> {
        for _ in 0..=MAX_BAD_NONCES {
            let nonce = self.nonce().await?;
            let start = Instant::now();
            let jws = self.key.sign(self.account.as_deref(), (url, &nonce), payload.text())?;
            let reply = self.connection.post(url, jws).await?;
            self.nonce = reply.header("replay-nonce").map(str::to_owned);
            if reply.status.is_success() {
                if let Some(step) = step {
                    self.samples.record(step, start.elapsed());
                }
                return Ok(reply);
            }
            let bad_nonce = serde_json::from_slice::<Problem>(&reply.body)
                .is_ok_and(|problem| problem.r#type == BAD_NONCE);
            if !bad_nonce {
                bail!("{} {}", reply.status, String::from_utf8_lossy(&reply.body));
            }
            self.counters.bad_nonces += 1;
        }
        bail!("the nonce was refused {MAX_BAD_NONCES} times")
    }

    /// The nonce of the last reply, or a new one.
    async fn nonce(&mut self) -> anyhow::Result<String> {
        if let Some(nonce) = self.nonce.take() {
            return Ok(nonce);
        }
        let start = Instant::now();
        let reply = self.connection.fetch(Method::HEAD, &self.directory.new_nonce).await?;
        let nonce = reply.header("replay-nonce").context("newNonce gave no nonce")?.to_owned();
        self.samples.record(Step::Nonce, start.elapsed());
        Ok(nonce)
    }

    /// Throws the nonce away, so that the next request fetches one.
    pub(crate) fn forget_nonce(&mut self) {
        self.nonce = None;
    }

    /// Remembers how long something took that is more than one request.
    pub(super) fn record(&mut self, step: Step, start: Instant) {
        self.samples.record(step, start.elapsed());
    }

    /// Counts one poll.
    pub(super) fn count_poll(&mut self) {
        self.counters.polls += 1;
    }

    /// Hands over what was measured since the last time.
    pub(crate) fn take_samples(&mut self) -> (Samples, Counters) {
        (std::mem::take(&mut self.samples), std::mem::take(&mut self.counters))
    }
}
