//! What servers show of themselves to their monitoring URLs: the one place where their sync mode can be seen.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use reqwest::{Client, Url, redirect::Policy};
use serde::Deserialize;

use super::{ConnectError, MonitorError, server::check_version};

/// How long a server may take to show its state.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The longest state that is read.
const MAX_STATE_BYTES: usize = 1024 * 1024;

/// A server's `/varz`, as far as it matters.
#[derive(Deserialize)]
struct ServerState {
    #[serde(default)]
    server_id: String,
    #[serde(default)]
    server_name: String,
    version: String,
    #[serde(default)]
    jetstream: JetStreamState,
}

#[derive(Default, Deserialize)]
struct JetStreamState {
    #[serde(default)]
    config: JetStreamConfig,
}

#[derive(Default, Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_always: bool,
}

/// What the monitoring URLs showed.
pub(super) struct Seen {
    /// The names of the servers that answered.
    names: BTreeSet<String>,
    /// How many URLs did not answer, each of which may be of another server.
    silent: usize,
}

impl Seen {
    /// Refuses servers that keep messages and were not seen, unless each can be one that did not answer. With fewer
    /// replicas than servers, any server may keep messages.
    pub(super) fn refuse_others(&self, mut keepers: BTreeSet<String>) -> Result<(), ConnectError> {
        keepers.retain(|keeper| !self.names.contains(keeper));
        match keepers.into_iter().nth(self.silent) {
            Some(name) => Err(ConnectError::KeeperUnseen { name }),
            None => Ok(()),
        }
    }
}

/// Refuses servers that are too old or acknowledge before they sync, and fewer servers than keep each message, because
/// the others were not checked. A minority may be down: one lost server must not keep clients of the others from
/// starting.
pub(super) async fn check(urls: &[Url], replicas: u8) -> Result<Seen, ConnectError> {
    if async_nats::rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(ConnectError::NoCryptoProvider);
    }
    let unreachable = |answered, source: MonitorError| ConnectError::MonitorUnreachable {
        answered,
        asked: urls.len(),
        source,
    };
    let client = Client::builder().timeout(TIMEOUT).no_proxy().redirect(Policy::none()).build();
    let client = client.map_err(|error| unreachable(0, error.into()))?;
    let answers = join_all(urls.iter().map(|url| state(&client, url))).await;
    let (mut servers, mut names) = (BTreeSet::new(), BTreeSet::new());
    let (mut answered, mut failure) = (0, None);
    for (url, answer) in urls.iter().zip(answers) {
        match answer {
            Ok(state) => {
                check_version(&state.server_name, &state.version)?;
                if !state.jetstream.config.sync_always {
                    return Err(ConnectError::LazySync {
                        name: state.server_name,
                        url: url.clone(),
                    });
                }
                servers.insert(state.server_id);
                names.insert(state.server_name);
                answered += 1;
            }
            Err(error) => {
                tracing::warn!(%url, %error, "a NATS server does not show its state");
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(source) if answered * 2 <= urls.len() => return Err(unreachable(answered, source)),
        Some(_) | None => {}
    }
    // What does not answer may be a server of its own.
    let silent = urls.len() - answered;
    let seen = servers.len() + silent;
    if seen < usize::from(replicas) {
        return Err(ConnectError::ServersUnseen { seen, replicas });
    }
    Ok(Seen { names, silent })
}

async fn state(client: &Client, url: &Url) -> Result<ServerState, MonitorError> {
    let mut address = url.clone();
    address.set_path(&format!("{}/varz", url.path().trim_end_matches('/')));
    let mut response = client.get(address).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_STATE_BYTES {
            return Err(MonitorError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&body)?)
}
