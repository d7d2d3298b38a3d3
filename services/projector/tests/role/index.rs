//! The indexes are complete to their markers.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use embedded::Embedded;
use eventstore::{
    AppendError, Envelope, EventStore, EventTail, Expected, Message, Sequence, StoreError, Stream,
    Subject, Tail,
};
use projector::Ports;
use readmodel::{Aggregates, OrdersPart, OrdersQuery, ReadModel as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    observed::Observed,
    scene::{PATIENCE, Running, SHARDS, Scene, account_id, order_id, until},
};

/// More than are read at once.
const MANY: u32 = 1100;

async fn complete(scene: &Scene) {
    let last = scene.log.last_sequence(Stream::Ledger).await.unwrap();
    until("the index is complete", async || {
        let marker = scene.views.complete_to(Stream::Ledger).await.unwrap();
        (marker >= last).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_certificate_is_found_and_the_marker_reaches_the_end() {
    let scene = Scene::new();
    scene.sign(1).await;
    let projector = scene.start();
    complete(&scene).await;
    scene.sign(2).await;
    complete(&scene).await;
    for n in 1..=2 {
        assert!(scene.has_certificate(n).await, "{n}");
    }
    projector.stop().await;
}

#[tokio::test]
async fn the_marker_never_passes_a_certificate_that_is_not_in_the_index() {
    let scene = Scene::new();
    for n in 1..=MANY {
        scene.sign(n).await;
    }
    let views = Arc::new(Observed::new(&scene.views, &scene.log));
    // A batch is 1,000 messages: the first of one projector is taken, and that of the other is not.
    views.refused.store(1500, Ordering::Relaxed);
    let projectors = [(); 2].map(|()| Running::start(scene.ports(views.clone())));
    for n in MANY + 1..=MANY + 50 {
        scene.sign(n).await;
        tokio::task::yield_now().await;
    }
    complete(&scene).await;
    for n in 1..=MANY + 50 {
        assert!(scene.has_certificate(n).await, "{n}");
    }
    for projector in projectors {
        projector.stop().await;
    }
}

/// Shows the ledger, and behind it something that cannot be read.
struct Damaged(Embedded);

struct DamagedTail(VecDeque<Message>);

#[async_trait]
impl EventTail for Damaged {
    async fn follow(&self, from: &[(Stream, Sequence)]) -> Result<Box<dyn Tail>, StoreError> {
        let ledger = from.iter().find(|(stream, _)| *stream == Stream::Ledger);
        let after = ledger.map_or(Sequence::NONE, |(_, after)| *after);
        let messages = self.0.scan(Stream::Ledger, after, usize::MAX >> 1).await?;
        Ok(Box::new(DamagedTail(messages.into())))
    }
}

#[async_trait]
impl Tail for DamagedTail {
    async fn next(&mut self) -> Result<Arc<Message>, StoreError> {
        self.0.pop_front().map(Arc::new).ok_or_else(|| StoreError::damaged("not a message"))
    }
}

#[tokio::test]
async fn what_stands_before_a_message_that_cannot_be_read_is_in_the_index() {
    let scene = Scene::new();
    for n in 1..=3 {
        scene.sign(n).await;
    }
    let ports = scene.ports(Arc::new(scene.views.clone()));
    let projector = Running::start(Ports { tail: Arc::new(Damaged(scene.log.clone())), ..ports });
    complete(&scene).await;
    for n in 1..=3 {
        assert!(scene.has_certificate(n).await, "{n}");
    }
    projector.stop().await;
}

/// Delivers nothing until it is told to.
struct Late {
    log: Embedded,
    delivers: CancellationToken,
}

struct LateTail {
    tail: Box<dyn Tail>,
    delivers: CancellationToken,
}

#[async_trait]
impl EventTail for Late {
    async fn follow(&self, from: &[(Stream, Sequence)]) -> Result<Box<dyn Tail>, StoreError> {
        let (tail, delivers) = (self.log.follow(from).await?, self.delivers.clone());
        Ok(Box::new(LateTail { tail, delivers }))
    }
}

#[async_trait]
impl Tail for LateTail {
    async fn next(&mut self) -> Result<Arc<Message>, StoreError> {
        self.delivers.cancelled().await;
        self.tail.next().await
    }
}

#[tokio::test]
async fn what_is_delivered_late_is_not_taken_for_nothing() {
    let scene = Scene::new();
    scene.sign(1).await;
    let (views, delivers) =
        (Arc::new(Observed::new(&scene.views, &scene.log)), CancellationToken::new());
    let late = Late { log: scene.log.clone(), delivers: delivers.clone() };
    let ports = scene.ports(views.clone());
    let projector = Running::start(Ports { tail: Arc::new(late), ..ports });
    // At the start, and each time it is looked whether a stream ends with nothing.
    let streams = u64::from(SHARDS) + 3;
    until("it was looked twice", async || {
        (views.markers_read.load(Ordering::Relaxed) >= 3 * streams).then_some(())
    })
    .await;
    assert_eq!(scene.views.complete_to(Stream::Ledger).await.unwrap(), Sequence::NONE);
    delivers.cancel();
    complete(&scene).await;
    assert!(scene.has_certificate(1).await);
    projector.stop().await;
}

#[tokio::test]
async fn the_index_is_completed_when_the_read_model_is_back() {
    let scene = Scene::new();
    let views = Arc::new(Observed::new(&scene.views, &scene.log));
    views.is_down.store(true, Ordering::Relaxed);
    let projector = Running::start(scene.ports(views.clone()));
    scene.sign(1).await;
    views.is_down.store(false, Ordering::Relaxed);
    complete(&scene).await;
    assert!(scene.has_certificate(1).await);
    projector.stop().await;
}

#[tokio::test]
async fn every_order_is_listed_for_its_account() {
    let scene = Scene::new();
    scene.place(1).await;
    let projector = scene.start();
    scene.place(2).await;
    let last = scene.respond(2).await;
    for n in 1..=2 {
        until("the order is listed", async || {
            let account = account_id(n);
            let query = OrdersQuery {
                account: &account,
                part: OrdersPart::First,
                limit: 9,
                order_shards: SHARDS,
            };
            let page = scene.views.orders_page(&query).await.unwrap();
            let shard = usize::from(order_id(2).shard());
            let complete = page.complete_to[shard] >= last;
            (complete && page.orders == [order_id(n)]).then_some(())
        })
        .await;
    }
    projector.stop().await;
}

#[tokio::test]
async fn an_index_that_was_lost_while_nothing_happens_is_completed_again() {
    let scene = Scene::new();
    scene.sign(1).await;
    let projector = scene.start();
    complete(&scene).await;
    scene.views.clear().await.unwrap();
    complete(&scene).await;
    assert!(scene.has_certificate(1).await);
    projector.stop().await;
}

/// A log whose streams end with what is no message of ours any more: orders that have expired, or a stranger's.
struct Emptied(Embedded);

/// Where its streams end.
const END: Sequence = Sequence(1000);

#[async_trait]
impl EventStore for Emptied {
    async fn append(
        &self,
        subject: &Subject,
        expected: Expected,
        envelope: &Envelope,
    ) -> Result<Sequence, AppendError> {
        self.0.append(subject, expected, envelope).await
    }

    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        self.0.read(subject, after).await
    }

    async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError> {
        self.0.message(stream, sequence).await
    }

    async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.0.scan(stream, after, limit).await
    }

    async fn last_sequence(&self, _: Stream) -> Result<Sequence, StoreError> {
        Ok(END)
    }
}

fn ports_on_emptied(scene: &Scene) -> Ports {
    let Ports { aggregates: Aggregates { views, .. }, tail } =
        scene.ports(Arc::new(Observed::new(&scene.views, &scene.log)));
    let store = Arc::new(Emptied(scene.log.clone()));
    Ports { aggregates: Aggregates { store, views }, tail }
}

#[tokio::test]
async fn the_marker_reaches_the_end_of_a_stream_that_ends_with_nothing() {
    let scene = Scene::new();
    scene.place(1).await;
    scene.sign(1).await;
    let projector = Running::start(ports_on_emptied(&scene));
    for stream in Stream::orders(SHARDS).into_iter().chain([Stream::Ledger]) {
        until("the marker reaches the end", async || {
            (scene.views.complete_to(stream).await.unwrap() == END).then_some(())
        })
        .await;
    }
    assert!(scene.has_certificate(1).await);
    projector.stop().await;
}

#[tokio::test]
async fn a_rebuild_ends_although_streams_end_with_nothing() {
    let scene = Scene::new();
    scene.sign(1).await;
    let ports = ports_on_emptied(&scene);
    let rebuilt = timeout(PATIENCE, projector::rebuild(&ports, SHARDS)).await;
    rebuilt.unwrap().unwrap();
    assert_eq!(scene.views.complete_to(Stream::Ledger).await.unwrap(), END);
    assert!(scene.has_certificate(1).await);
}

/// Refuses to show orders, or shows what cannot be read.
struct WithoutOrders {
    log: Embedded,
    refuses: bool,
}

#[async_trait]
impl EventTail for WithoutOrders {
    async fn follow(&self, from: &[(Stream, Sequence)]) -> Result<Box<dyn Tail>, StoreError> {
        let has_orders = from.iter().any(|(stream, _)| matches!(stream, Stream::Orders(_)));
        match (has_orders, self.refuses) {
            (true, true) => Err(StoreError::unavailable("no right to follow")),
            (true, false) => Ok(Box::new(DamagedTail(VecDeque::new()))),
            (false, _) => self.log.follow(from).await,
        }
    }
}

#[tokio::test]
async fn certificates_are_found_after_a_rebuild_that_cannot_read_an_order() {
    let scene = Scene::new();
    scene.sign(1).await;
    scene.place(1).await;
    let tail = Arc::new(WithoutOrders { log: scene.log.clone(), refuses: false });
    let ports = Ports { tail, ..scene.ports(Arc::new(scene.views.clone())) };
    projector::rebuild(&ports, SHARDS).await.unwrap_err();
    assert!(scene.has_certificate(1).await);
    let end = scene.log.last_sequence(Stream::Ledger).await.unwrap();
    assert!(scene.views.complete_to(Stream::Ledger).await.unwrap() >= end);
}

#[tokio::test]
async fn a_rebuild_that_may_not_follow_the_log_forgets_nothing() {
    let scene = Scene::new();
    scene.sign(1).await;
    let ports = scene.ports(Arc::new(scene.views.clone()));
    projector::rebuild(&ports, SHARDS).await.unwrap();
    let tail = Arc::new(WithoutOrders { log: scene.log.clone(), refuses: true });
    projector::rebuild(&Ports { tail, ..ports }, SHARDS).await.unwrap_err();
    assert!(scene.has_certificate(1).await);
}
