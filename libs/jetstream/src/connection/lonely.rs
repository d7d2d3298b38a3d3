//! A server that is cut off from the others. It keeps its connections and answers pings, but reaches no leader, though the
//! others have elected.

use std::{
    collections::HashMap,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, ReconnectToServer, ServerAddr,
    jetstream::{context::ContextBuilder, response::Response},
};
use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::settings::settings;
use crate::{Options, stream_info::StreamInfo};

/// When whoever waits for a leader doubts the server. Most elections are over by then; during others no server knows a leader
/// yet, and the connection stays.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long another server may take to say who leads.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// How long after that the servers are asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a stream whose leader was overdue matters to the choice of a server. Where two servers are cut off from each other
/// only, each knows the leaders of some streams, and the third those of all.
const MEMORY: Duration = Duration::from_mins(1);

/// Hears of those who wait for a leader. Clones share it.
#[derive(Clone)]
pub(super) struct Lonely(mpsc::Sender<String>);

impl Lonely {
    /// Also returns the streams whose leaders are overdue.
    pub(super) fn new() -> (Self, mpsc::Receiver<String>) {
        // The others that wait at the same time are helped by the same move.
        let (sender, overdue) = mpsc::channel(1);
        (Self(sender), overdue)
    }

    /// Notes for how long somebody has waited for a stream's leader.
    pub(super) fn note(&self, stream: &str, waited: Duration) {
        if waited >= PATIENCE && !stream.is_empty() {
            let _ = self.0.try_send(stream.to_owned());
        }
    }
}

/// The server to connect to next, if it matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice(Arc<Mutex<Option<ServerAddr>>>);

impl Choice {
    /// Has the client obey.
    pub(super) fn govern(self, connect: ConnectOptions) -> ConnectOptions {
        connect.reconnect_to_server_callback(move |_, _| {
            let chosen = self.lock().take();
            async { chosen.map(|addr| ReconnectToServer { addr, delay: Some(Duration::ZERO) }) }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<ServerAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the connection to a server that knows the leaders which are overdue at this one. Ends with whoever could wait.
pub(super) async fn mend(
    mut overdue: mpsc::Receiver<String>,
    client: Client,
    options: Options,
    choice: Choice,
) {
    let mut streams = HashMap::new();
    while let Some(stream) = overdue.recv().await {
        streams.insert(stream, Instant::now());
        streams.retain(|_, noted| noted.elapsed() < MEMORY);
        let streams: Vec<&String> = streams.keys().collect();
        if let Some((addr, server)) = better(&client, &options, &streams).await {
            let left = client.server_info().server_name;
            tracing::warn!(left, server, ?streams, "a NATS server that reaches no leader is left");
            *choice.lock() = Some(addr);
            if let Err(error) = client.force_reconnect().await {
                tracing::debug!(%error, "a connection was not given up");
            }
        }
        sleep(PAUSE).await;
    }
}

/// Another server that knows who leads all of the streams, and its name, if the one that is connected to does not.
async fn better(
    client: &Client,
    options: &Options,
    streams: &[&String],
) -> Option<(ServerAddr, String)> {
    let pool = client.server_pool().await.ok()?;
    if knows_leaders(client, streams).await {
        return None;
    }
    let own = client.server_info().server_id;
    let ask = async |addr: ServerAddr| {
        let (_, connect) = settings(options).ok()?;
        let other = connect.connect(addr.clone()).await.ok()?;
        let info = other.server_info();
        let is_better = info.server_id != own && knows_leaders(&other, streams).await;
        is_better.then_some((addr, info.server_name))
    };
    let asked: FuturesUnordered<_> = pool.into_iter().map(|server| ask(server.addr)).collect();
    Box::pin(asked.filter_map(ready)).next().await
}

async fn knows_leaders(client: &Client, streams: &[&String]) -> bool {
    let context = ContextBuilder::new().timeout(ANSWER_TIME).build(client.clone());
    let ask = async |stream: &&String| {
        let answer = context.request(StreamInfo::subject(stream), &()).await;
        answer.is_ok_and(|answer| match answer {
            Response::Ok(info) => StreamInfo::is_led(&info),
            Response::Err { .. } => false,
        })
    };
    join_all(streams.iter().map(ask)).await.into_iter().all(|is_led| is_led)
}
