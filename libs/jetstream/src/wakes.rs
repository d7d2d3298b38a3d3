//! Wakes as core NATS messages: one subscription per process, shared by all who listen.

use async_nats::{Client, SubscribeError, Subscriber};
use eventstore::{StoreError, Wake};
use futures::StreamExt as _;
use tokio::{sync::broadcast, task::JoinHandle};

use crate::connection::Connection;

/// How many wakes a listener may lag behind.
const CAPACITY: usize = 4096;
/// The largest wake: a subject, a sequence and what JSON puts around them.
const MAX_WAKE_BYTES: usize = 512;

/// Hears the wakes of all processes until it is dropped.
pub(crate) struct Listener {
    wakes: broadcast::Sender<Wake>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Starts to listen.
    pub(crate) async fn start(client: &Client, subject: String) -> Result<Self, SubscribeError> {
        let subscriber = client.subscribe(subject).await?;
        let (wakes, _) = broadcast::channel(CAPACITY);
        let task = tokio::spawn(forward(subscriber, wakes.clone()));
        Ok(Self { wakes, task })
    }

    /// Listens from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Wake> {
        self.wakes.subscribe()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut subscriber: Subscriber, wakes: broadcast::Sender<Wake>) {
    while let Some(message) = subscriber.next().await {
        match parse(&message.payload) {
            // Nobody may be waiting.
            Some(wake) => drop(wakes.send(wake)),
            None => tracing::debug!("a wake that is none of ours was ignored"),
        }
    }
}

fn parse(payload: &[u8]) -> Option<Wake> {
    if payload.len() > MAX_WAKE_BYTES {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

/// Tells all who listen, as far as a connection is there.
pub(crate) async fn publish(connection: &Connection, subject: String, wake: &Wake) {
    if let Err(error) = try_publish(connection, subject, wake).await {
        tracing::warn!(%error, subject = %wake.subject, "a wake was not published");
    }
}

async fn try_publish(
    connection: &Connection,
    subject: String,
    wake: &Wake,
) -> Result<(), StoreError> {
    let payload = serde_json::to_vec(wake).map_err(StoreError::unavailable)?;
    connection.publish(subject.into(), payload.into()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_wake_is_ignored() {
        assert!(parse(b"{}").is_none());
        assert!(parse(&[b' '; MAX_WAKE_BYTES + 1]).is_none());
        assert!(parse(br#"{"subject":"account.>","sequence":1}"#).is_none());
        assert!(parse(br#"{"subject":"account.a","sequence":1}"#).is_some());
    }
}
