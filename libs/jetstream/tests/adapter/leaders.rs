//! Three servers, whose leader steps down, dies, hangs, or is cut off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use eventstore::{
    AppendError, EventFeed as _, EventStore as _, Expected, Sequence, StoreError, Stream, Subject,
    contract::fresh_account,
};
use futures::future::join_all;
use jetstream::{JetStream, Options};
use tokio::task::JoinHandle;

use super::{
    Logs, append,
    cluster::{Writer, accounts_leader, leader, next, settled},
    eventually,
    nats::{Cluster, Nats},
    stranger,
};

/// How many append, and how many read.
const TASKS: usize = 8;

/// The other servers hear a moment later who leads, and say until then that nobody does. A leader that steps down drops the
/// questions that it has.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_while_leaders_step_down() {
    let cluster = Cluster::start().await;
    let traffic = Traffic::start(&settled(&Logs(cluster.options())).await).await;
    for _ in 0..20 {
        step_down(&cluster).await;
    }
    traffic.goes_on().await;
    traffic.check().await;
}

/// The others elect another leader four to nine seconds later.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_when_the_leader_dies() {
    let mut cluster = Cluster::start().await;
    let traffic = Traffic::start(&settled(&Logs(cluster.options())).await).await;
    leader(&mut cluster).await.kill();
    traffic.goes_on().await;
    traffic.check().await;
}

/// As when its machine is gone: nobody is told, and the connection to it stays.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_when_the_leader_that_one_is_connected_to_hangs() {
    let mut cluster = Cluster::start().await;
    let (log, leader) = at_leader(&mut cluster).await;
    let traffic = Traffic::start(&log).await;
    leader.suspend();
    traffic.goes_on().await;
    traffic.check().await;
}

/// It keeps its clients, and goes on leading until it notices. What it was told meanwhile is not lost or there twice when the
/// others hear of it again.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_when_the_leader_that_one_is_connected_to_is_cut_off() {
    let (mut cluster, routes) = Cluster::start_with_routes().await;
    let (log, leader) = at_leader(&mut cluster).await;
    let (traffic, writer) = (Traffic::start(&log).await, Writer::start(&log));
    for _ in 0..10 {
        traffic.goes_on().await;
    }
    routes.cut_off(&leader.name);
    traffic.goes_on().await;
    routes.heal();
    traffic.goes_on().await;
    traffic.check().await;
    writer.check(&log).await;
}

/// It asks for nothing but deliveries.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_served_whose_server_is_cut_off() {
    let (mut cluster, routes) = Cluster::start_with_routes().await;
    let (idle, leader) = at_leader(&mut cluster).await;
    let name = leader.name.clone();
    let others = cluster.servers.iter().filter(|server| server.name != name);
    let servers = others.map(Nats::url).collect();
    let log = settled(&Logs(Options { servers, ..cluster.options() })).await;
    let mut worker = idle.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let (_, subject) = fresh_account();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    next(worker.as_mut()).await.ack().await.unwrap();

    routes.cut_off(&name);
    let last =
        eventually("an append", async || append(&log, &subject, Expected::Anything, "b").await)
            .await;
    while next(worker.as_mut()).await.message.sequence < last {}
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_at_a_server_that_is_cut_off_goes_on_at_another() {
    let (mut cluster, routes) = Cluster::start_with_routes().await;
    let log = settled(&Logs(cluster.options())).await;
    let (_, subject) = fresh_account();
    let last = append(&log, &subject, Expected::Anything, "a").await.unwrap();
    let options = cluster.options();
    let leader = leader(&mut cluster).await;
    routes.cut_off(&leader.name);
    let raw = stranger(leader.url()).await;
    eventually("a server that knows nobody", async || raw.query_account().await.err().ok_or(()))
        .await;
    let log = settled(&Logs(Options { servers: vec![leader.url()], ..options })).await;
    assert_eq!(log.read(&subject, Sequence::NONE).await.unwrap().len(), 1);
    assert!(append(&log, &subject, Expected::Last(last), "b").await.unwrap() > last);
}

/// Servers elect another leader four seconds after they last heard of theirs, who notices after ten.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_cut_off_is_not_believed_that_there_is_nothing() {
    let mut cluster = Cluster::start().await;
    let (log, leader) = at_leader(&mut cluster).await;
    let (name, url) = (leader.name.clone(), leader.url());
    let ((_, written), (_, other)) = (fresh_account(), fresh_account());
    let last = append(&log, &written, Expected::Last(Sequence::NONE), "a").await.unwrap();
    assert!(log.read(&written, last).await.unwrap().is_empty());
    assert!(log.message(Stream::Accounts, Sequence(last.0 + 1)).await.unwrap().is_none());

    cluster.servers.iter_mut().filter(|server| server.name != name).for_each(Nats::kill);
    let raw = stranger(url).await;
    let silence = eventually("the silence of the others", async || {
        let info = raw.get_stream("certmill-accounts").await.map_err(drop)?.cached_info().clone();
        let replicas = info.cluster.ok_or(())?.replicas;
        let shortest = replicas.iter().map(|replica| replica.active).min().ok_or(())?;
        (shortest > Duration::from_secs(4)).then_some(shortest).ok_or(())
    });
    assert!(silence.await < Duration::from_secs(10));
    let (more, nothing, beyond, end, there) = tokio::join!(
        log.read(&written, last),
        log.read(&other, Sequence::NONE),
        log.message(Stream::Accounts, Sequence(last.0 + 1)),
        log.last_sequence(Stream::Accounts),
        log.message(Stream::Accounts, last),
    );
    assert!(more.is_err(), "{more:?}");
    assert!(nothing.is_err(), "{nothing:?}");
    assert!(beyond.is_err(), "{beyond:?}");
    assert!(end.is_err(), "{end:?}");
    assert_eq!(there.unwrap().map(|message| message.sequence), Some(last));
}

/// A log that is connected to the server which leads the accounts' stream, and that server.
async fn at_leader(cluster: &mut Cluster) -> (JetStream, &mut Nats) {
    settled(&Logs(cluster.options())).await;
    let options = cluster.options();
    let leader = leader(cluster).await;
    (settled(&Logs(Options { servers: vec![leader.url()], ..options })).await, leader)
}

/// What was refused.
#[derive(Debug)]
#[expect(dead_code, reason = "a test that fails shows it")]
enum Refused {
    Append(AppendError),
    Read(StoreError),
}

/// Appends and reads that go on until one is refused.
struct Traffic {
    stop: Arc<AtomicBool>,
    done: Vec<Arc<AtomicUsize>>,
    tasks: Vec<JoinHandle<Result<(), Refused>>>,
}

impl Traffic {
    async fn start(log: &JetStream) -> Self {
        let (_, subject) = fresh_account();
        append(log, &subject, Expected::Anything, "a").await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let done: Vec<_> = (0..2 * TASKS).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let tasks = done.iter().enumerate().map(|(number, done)| {
            let (log, subject) = (log.clone(), subject.clone());
            let (stop, done) = (stop.clone(), done.clone());
            tokio::spawn(async move {
                if number < TASKS {
                    write_until(&log, &stop, &done).await.map_err(Refused::Append)
                } else {
                    read_until(&log, &subject, &stop, &done).await.map_err(Refused::Read)
                }
            })
        });
        let tasks = tasks.collect();
        Self { stop, done, tasks }
    }

    /// Waits until everyone has got two more answers, of which the first may have been under way, or stopped.
    async fn goes_on(&self) {
        let counts = || self.done.iter().map(|done| done.load(Ordering::Relaxed));
        let before: Vec<usize> = counts().collect();
        eventually("more answers", async || {
            let is_on = counts().zip(&before).all(|(now, before)| now > before + 1);
            let has_ended = self.tasks.iter().any(JoinHandle::is_finished);
            (is_on || has_ended).then_some(()).ok_or_else(|| counts().collect::<Vec<_>>())
        })
        .await;
    }

    /// Stops, and makes sure that nothing was refused.
    async fn check(self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = join_all(self.tasks).await;
        let refused: Vec<_> = ended.into_iter().filter_map(|ended| ended.unwrap().err()).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}

/// Appends until it is stopped or an append is refused.
async fn write_until(
    log: &JetStream,
    stop: &AtomicBool,
    done: &AtomicUsize,
) -> Result<(), AppendError> {
    let (_, subject) = fresh_account();
    while !stop.load(Ordering::Relaxed) {
        match append(log, &subject, Expected::Anything, "a").await {
            Ok(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
            // The leader was gone before it replied; whoever appends reads what became of it.
            Err(AppendError::Unknown(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(())
}

/// Reads what is there, what is not, and where the stream ends, until it is stopped or a read fails.
async fn read_until(
    log: &JetStream,
    subject: &Subject,
    stop: &AtomicBool,
    done: &AtomicUsize,
) -> Result<(), StoreError> {
    let (_, unknown) = fresh_account();
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(log.read(subject, Sequence::NONE).await?.len(), 1);
        assert!(log.read(&unknown, Sequence::NONE).await?.is_empty());
        assert!(log.last_sequence(Stream::Accounts).await? >= Sequence(1));
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Has another server lead the accounts' stream.
async fn step_down(cluster: &Cluster) {
    let raw = stranger(cluster.options().servers).await;
    let leader = accounts_leader(&raw).await;
    let step_down = "$JS.API.STREAM.LEADER.STEPDOWN.certmill-accounts";
    raw.client().request(step_down, "".into()).await.unwrap();
    eventually("another leader", async || {
        let other = accounts_leader(&raw).await;
        (other != leader).then_some(()).ok_or(other)
    })
    .await;
}
