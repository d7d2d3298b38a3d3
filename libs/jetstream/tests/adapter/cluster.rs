//! Three servers that sync each message, while some are killed and come back, and others lead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::Context;
use domain::OrderId;
use eventstore::{
    AppendError, Delivery, EventFeed as _, EventStore as _, Expected, Sequence, Stream, Subject,
    Subscription,
    contract::{self, fresh_account},
};
use jetstream::{ConnectError, JetStream, Options};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    Logs, PATIENCE, append, eventually,
    nats::{Cluster, Nats},
    ports, single, stranger,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_three_servers_while_one_is_killed_and_restarted() {
    let mut cluster = Cluster::start().await;
    let logs = Logs(cluster.options());
    let log = settled(&logs).await;
    let identity = log.identity().await.unwrap();
    let ports = ports(&log);
    contract::order_is_kept_and_read_at_once(&ports).await;
    contract::one_of_many_writers_wins_each_round(&ports).await;
    contract::commands_meet_at_one_append(&ports).await;
    contract::lost_acks_never_write_twice(&ports).await;
    contract::the_second_of_a_pair_knows_the_first(&ports).await;
    contract::the_first_of_a_pair_stays(&ports).await;
    contract::commands_after_records_take_effect_once(&ports).await;
    contract::appends_survive_a_restart(&logs).await;
    contract::feeds_resume_after_a_restart(&logs).await;
    contract::unacknowledged_deliveries_come_again(&ports).await;
    contract::workers_share_a_consumer(&ports).await;
    contract::every_follower_sees_every_message(&ports).await;
    contract::wakes_reach_every_listener(&logs, &ports).await;

    let writer = Writer::start(&log);
    let lost = leader(&mut cluster).await;
    lost.kill();
    assert_eq!(settled(&logs).await.identity().await.unwrap(), identity);
    contract::order_is_kept_and_read_at_once(&ports).await;
    contract::one_of_many_writers_wins_each_round(&ports).await;
    contract::lost_acks_never_write_twice(&ports).await;
    single::commands_take_effect_one_after_the_other(&log).await;
    contract::appends_survive_a_restart(&logs).await;

    lost.restart().await;
    assert_eq!(settled(&logs).await.identity().await.unwrap(), identity);
    contract::commands_meet_at_one_append(&ports).await;
    contract::one_of_many_writers_wins_each_round(&ports).await;
    writer.check(&log).await;
    contract::feeds_resume_after_a_restart(&logs).await;
    contract::unacknowledged_deliveries_come_again(&ports).await;
    contract::scans_see_every_message(&ports).await;
    contract::what_is_written_is_not_empty(&ports).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_messages_and_whose_sync_is_not_seen_is_refused() {
    let mut cluster = Cluster::start_of(4).await;
    settled(&Logs(cluster.options())).await;
    let leader = accounts_leader(&stranger(cluster.options().servers).await).await;
    // As many are left as keep each message.
    let others = cluster.servers.iter().filter(|server| server.name != leader);
    let urls = others.map(|server| server.monitor_url().parse().unwrap()).collect();
    let options = Options { monitor_urls: urls, ..cluster.options() };
    let refusal =
        eventually("a refusal", async || match JetStream::connect(options.clone()).await {
            Err(refusal) if !refusal.is_transient() => Ok(refusal),
            other => Err(other.map(drop)),
        })
        .await;
    let expected = matches!(&refusal, ConnectError::KeeperUnseen { name } if *name == leader);
    assert!(expected, "{refusal:?}");
    assert!(refusal.to_string().contains("event_log.monitor_urls"), "{refusal}");
    cluster.servers.iter_mut().filter(|server| server.name == leader).for_each(Nats::kill);
    // Its URL would lead to nobody.
    settled(&Logs(options)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_lack_a_server_for_a_replica_are_made_when_it_is_there() {
    let mut cluster = Cluster::start().await;
    settled(&Logs(Options { prefix: "other".to_owned(), ..cluster.options() })).await;
    cluster.servers.iter_mut().for_each(Nats::kill);
    for server in &mut cluster.servers[..2] {
        server.restart().await;
    }
    let logs = Logs(cluster.options());
    let refusal =
        eventually("a refusal", async || match JetStream::connect(logs.0.clone()).await {
            Err(refusal @ ConnectError::StreamRefused { .. }) => Ok(refusal),
            other => Err(other.map(drop)),
        })
        .await;
    assert!(refusal.is_transient(), "{refusal:?}");
    cluster.servers[2].restart().await;
    settled(&logs).await;
}

/// A consumer in memory would have no leader until the third is back.
#[tokio::test(flavor = "multi_thread")]
async fn workers_are_served_when_two_of_three_servers_come_back() {
    let mut cluster = Cluster::start().await;
    let log = settled(&Logs(cluster.options())).await;
    let subject = Subject::order(&OrderId::new(0, &[0; 16]));
    let mut worker = log.subscribe("worker", &[Stream::Orders(0)]).await.unwrap();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    next(worker.as_mut()).await.ack().await.unwrap();

    cluster.servers.iter_mut().for_each(Nats::kill);
    for server in &mut cluster.servers[..2] {
        server.restart().await;
    }
    let last =
        eventually("an append", async || append(&log, &subject, Expected::Anything, "b").await)
            .await;
    while next(worker.as_mut()).await.message.sequence < last {}
}

/// The next delivery, which a worker that is told of an outage asks for again.
pub(crate) async fn next(worker: &mut dyn Subscription) -> Delivery {
    let next = async {
        loop {
            if let Ok(delivery) = worker.next().await {
                return delivery;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a delivery")
}

/// The server that leads the accounts' stream.
pub(crate) async fn leader(cluster: &mut Cluster) -> &mut Nats {
    let name = accounts_leader(&stranger(cluster.options().servers).await).await;
    let leader = cluster.servers.iter_mut().find(|server| server.name == name);
    leader.expect("the leader is one of the cluster")
}

/// The name of the server that leads the accounts' stream.
pub(crate) async fn accounts_leader(raw: &Context) -> String {
    eventually("a leader", async || {
        let stream =
            raw.get_stream("certmill-accounts").await.map_err(|error| error.to_string())?;
        let group = stream.cached_info().cluster.as_ref();
        group.and_then(|group| group.leader.clone()).ok_or_else(|| "nobody leads".to_owned())
    })
    .await
}

/// Waits until the cluster has a leader for everything.
pub(crate) async fn settled(logs: &Logs) -> JetStream {
    eventually("the election of leaders", async || JetStream::connect(logs.0.clone()).await).await
}

/// Writes to one aggregate all the time, and remembers what was acknowledged.
pub(crate) struct Writer {
    subject: Subject,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Sequence>>,
}

impl Writer {
    pub(crate) fn start(log: &JetStream) -> Self {
        let (_, subject) = fresh_account();
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(write(log.clone(), subject.clone(), stop.clone()));
        Self { subject, stop, task }
    }

    /// Every acknowledged append is there, and nothing is there twice.
    pub(crate) async fn check(self, log: &JetStream) {
        self.stop.store(true, Ordering::Relaxed);
        let acknowledged = self.task.await.unwrap();
        assert!(acknowledged.len() > 10, "{} appends were acknowledged", acknowledged.len());
        let stored = log.read(&self.subject, Sequence::NONE).await.unwrap();
        let found: Vec<Sequence> = stored.iter().map(|message| message.sequence).collect();
        assert!(found.is_sorted_by(|a, b| a < b));
        let missing: Vec<_> = acknowledged.iter().filter(|s| !found.contains(s)).collect();
        assert!(missing.is_empty(), "{missing:?} are lost");
        let mut ids: Vec<_> = stored.iter().map(|message| message.envelope.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), stored.len(), "a message is stored twice");
    }
}

async fn write(log: JetStream, subject: Subject, stop: Arc<AtomicBool>) -> Vec<Sequence> {
    let (mut last, mut acknowledged) = (Sequence::NONE, Vec::new());
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        match append(&log, &subject, Expected::Last(last), "a").await {
            Ok(sequence) => {
                last = sequence;
                acknowledged.push(sequence);
            }
            Err(AppendError::Conflict | AppendError::Unknown(_)) => {
                let news = log.read(&subject, last).await.unwrap_or_default();
                last = news.last().map_or(last, |message| message.sequence);
            }
            Err(AppendError::Unavailable(_)) => {}
            Err(AppendError::TooLarge) => unreachable!("the message is small"),
        }
    }
    acknowledged
}
