//! The place of workers in streams of orders, which three servers keep in memory.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use domain::OrderId;
use eventstore::{EventFeed as _, Expected, Stream, Subject, Subscription};
use futures::future::join_all;
use jetstream::{JetStream, Options};
use tokio::time::timeout;

use super::{
    Logs, append, eventually,
    nats::{Cluster, Nats},
};

/// Longer than a delivery takes where nothing is wrong, also once servers have started again.
const SOON: Duration = Duration::from_secs(30);
/// As many messages as it takes until a place is noted, and some more.
const MESSAGES: u64 = 1200;

#[tokio::test(flavor = "multi_thread")]
async fn workers_go_on_where_they_were_after_all_servers_were_lost() {
    let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
    let mut cluster = Cluster::start().await;
    let log = settled(&cluster).await;
    fill(&log).await;
    let mut worker = log.subscribe("worker", &[Stream::Orders(0)]).await.unwrap();
    for _ in 0..MESSAGES {
        timeout(SOON, worker.next()).await.unwrap().unwrap().ack().await.unwrap();
    }
    let noted = eventually("the note", async || {
        let info = consumer(&cluster).await.map_err(drop)?.cached_info().clone();
        let place = info.config.metadata.get("certmill-place").ok_or(())?;
        place.parse::<u64>().map_err(drop)
    })
    .await;
    assert!((900..=MESSAGES).contains(&noted), "{noted}");

    // One after the other they lose nothing.
    for index in 0..3 {
        cluster.servers[index].kill();
        cluster.servers[index].restart().await;
        let health = format!("{}/healthz", cluster.servers[index].monitor_url());
        eventually("the health of the server", async || {
            reqwest::get(&health).await.and_then(reqwest::Response::error_for_status).map(drop)
        })
        .await;
    }
    let place = eventually("the place", async || {
        Ok::<_, String>(
            consumer(&cluster)
                .await
                .map_err(|e| format!("{e:?}"))?
                .cached_info()
                .ack_floor
                .stream_sequence,
        )
    })
    .await;
    assert_eq!(place, MESSAGES);

    cluster.servers.iter_mut().for_each(Nats::kill);
    for server in &mut cluster.servers {
        server.restart().await;
    }
    let log = settled(&cluster).await;
    append(&log, &order(0), Expected::Anything, "a").await.unwrap();
    let seen = seen_until(worker.as_mut(), MESSAGES + 1).await;
    let expected: BTreeSet<u64> = (noted + 1..=MESSAGES + 1).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_another_log_is_not_gone_on_from() {
    let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let log = settled(&cluster).await;
    drop(log.subscribe("worker", &[Stream::Orders(0)]).await.unwrap());
    let found = consumer(&cluster).await.unwrap().cached_info().config.clone();
    let noted = pull::Config {
        metadata: [("certmill-place".to_owned(), "7".to_owned())].into(),
        ..as_pull(&found)
    };
    let raw = stranger(&cluster).await;
    raw.create_consumer_on_stream(noted, "certmill-orders-00").await.unwrap();
    append(&log, &order(0), Expected::Anything, "a").await.unwrap();
    let mut worker = log.subscribe("worker", &[Stream::Orders(0)]).await.unwrap();
    for _ in 0..9 {
        append(&log, &order(0), Expected::Anything, "a").await.unwrap();
    }
    assert_eq!(seen_until(worker.as_mut(), 10).await, (1..=10).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_an_earlier_release_is_used_as_it_is() {
    let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let log = settled(&cluster).await;
    drop(log.subscribe("worker", &[Stream::Orders(0)]).await.unwrap());
    let found = consumer(&cluster).await.unwrap().cached_info().config.clone();
    assert!(found.memory_storage);
    let raw = stranger(&cluster).await;
    raw.delete_consumer_from_stream("worker", "certmill-orders-00").await.unwrap();
    let on_disk = pull::Config { memory_storage: false, ..as_pull(&found) };
    raw.create_consumer_on_stream(on_disk, "certmill-orders-00").await.unwrap();

    append(&log, &order(0), Expected::Anything, "a").await.unwrap();
    let mut worker = log.subscribe("worker", &[Stream::Orders(0)]).await.unwrap();
    assert_eq!(seen_until(worker.as_mut(), 1).await, [1].into());
    assert!(!consumer(&cluster).await.unwrap().cached_info().config.memory_storage);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_without_the_rights_to_keep_their_place_are_served() {
    let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await;
    let denied = r#"publish: { deny: ["$JS.API.CONSUMER.INFO.>", "$JS.API.CONSUMER.RESET.>"] }"#;
    let users = format!("users: [ {{ user: a, password: b, permissions: {{ {denied} }} }} ]");
    settled(&cluster).await;
    for server in &cluster.servers {
        server.reconfigure("http: ", &format!("authorization {{ {users} }}\nhttp: "));
        eventually("the permissions", async || {
            async_nats::connect(server.url()).await.err().map(drop).ok_or(())
        })
        .await;
    }
    let servers = cluster.servers.iter().map(|server| server.url().replace("//", "//a:b@"));
    let logs = Logs(Options { servers: servers.collect(), ..cluster.options() });
    let connect = async || JetStream::connect(logs.0.clone()).await;
    let log = eventually("the users are known", connect).await;
    append(&log, &order(0), Expected::Anything, "a").await.unwrap();
    let mut worker = log.subscribe("worker", &[Stream::Orders(0)]).await.unwrap();
    assert_eq!(seen_until(worker.as_mut(), 1).await, [1].into());
}

/// The settings of a durable consumer that matter here.
fn as_pull(found: &async_nats::jetstream::consumer::Config) -> pull::Config {
    pull::Config {
        durable_name: found.durable_name.clone(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: found.ack_wait,
        max_deliver: found.max_deliver,
        max_ack_pending: found.max_ack_pending,
        memory_storage: found.memory_storage,
        ..pull::Config::default()
    }
}

/// Acknowledges everything until a message has come, and tells what it was.
async fn seen_until(worker: &mut dyn Subscription, last: u64) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    while !seen.contains(&last) {
        // The worker is told of an outage, and asks again.
        let Ok(delivery) = timeout(SOON, worker.next()).await.unwrap() else { continue };
        seen.insert(delivery.message.sequence.0);
        delivery.ack().await.unwrap();
    }
    seen
}

/// Appends many messages of some orders.
async fn fill(log: &JetStream) {
    let orders = 60;
    let appending = (0..orders).map(async |index| {
        for _ in 0..MESSAGES / u64::from(orders) {
            append(log, &order(index), Expected::Anything, "a").await.unwrap();
        }
    });
    join_all(appending).await;
}

fn order(index: u8) -> Subject {
    Subject::order(&OrderId::new(0, &[index; 16]))
}

async fn settled(cluster: &Cluster) -> JetStream {
    let logs = Logs(cluster.options());
    eventually("the election of leaders", async || JetStream::connect(logs.0.clone()).await).await
}

async fn stranger(cluster: &Cluster) -> async_nats::jetstream::Context {
    let servers: Vec<String> = cluster.servers.iter().map(Nats::url).collect();
    async_nats::jetstream::new(async_nats::connect(servers).await.unwrap())
}

async fn consumer(cluster: &Cluster) -> Result<PullConsumer, impl std::fmt::Debug> {
    stranger(cluster).await.get_consumer_from_stream("worker", "certmill-orders-00").await
}
