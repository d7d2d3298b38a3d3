//! The adapter on real servers: each test starts its own, on free ports, and stops them.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod calls;
mod cluster;
mod credentials;
mod feed;
mod leaders;
mod monitors;
mod nats;
mod outage;
mod reading;
mod refusals;
mod rights;
mod routes;
mod single;
mod stand_in;
mod tls;

use std::{sync::Arc, time::Duration};

use async_nats::{ToServerAddrs, jetstream::Context};
use eventstore::{
    AppendError, Envelope, EventStore, Expected, MessageId, Sequence, Subject,
    contract::{Harness, Ports, context},
};
use jetstream::{JetStream, Options};

/// Longer than anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens logs with the same options.
struct Logs(Options);

impl Logs {
    async fn connect(&self) -> JetStream {
        JetStream::connect(self.0.clone()).await.expect("the log can be used")
    }
}

#[async_trait::async_trait]
impl Harness for Logs {
    async fn open(&self) -> Ports {
        ports(&self.connect().await)
    }
}

fn ports(log: &JetStream) -> Ports {
    let log = Arc::new(log.clone());
    Ports { store: log.clone(), feed: log.clone(), tail: log.clone(), wakes: log }
}

/// Options for one server, with few streams and a short time until redelivery.
fn development(servers: Vec<String>) -> Options {
    Options {
        servers,
        replicas: 1,
        allow_unsafe_dev: true,
        order_shards: 2,
        ack_wait: Duration::from_secs(2),
        ..Options::default()
    }
}

fn account_update(contact: &str) -> domain::account::Event {
    domain::account::Event::AccountUpdated(domain::account::AccountUpdated {
        contact: vec![contact.to_owned()],
    })
}

async fn append(
    log: &JetStream,
    subject: &Subject,
    expected: Expected,
    contact: &str,
) -> Result<Sequence, AppendError> {
    let events = [account_update(contact)];
    let envelope = Envelope::new(MessageId::random(), &context(), &events).expect("it serializes");
    log.append(subject, expected, &envelope).await
}

/// The servers' JetStream without the adapter.
async fn stranger(servers: impl ToServerAddrs) -> Context {
    async_nats::jetstream::new(async_nats::connect(servers).await.unwrap())
}

/// Tries again until it succeeds.
async fn eventually<T, E: std::fmt::Debug>(
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let mut last = None;
    let tries = async {
        loop {
            match attempt().await {
                Ok(value) => return value,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, tries).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen in time: {last:?}"),
    }
}
