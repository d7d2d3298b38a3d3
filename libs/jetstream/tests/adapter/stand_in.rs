//! Leaders as a stand-in for JetStream plays them: one that was replaced and does not know it, and one out of reach.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_nats::Message;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use eventstore::{
    Envelope, EventStore as _, MessageId, Sequence, Stream, Subject,
    contract::{context, fresh_account},
};
use futures::StreamExt as _;
use jetstream::{JetStream, Options, ReadOnly};
use serde_json::{Value, json};

use super::{account_update, development, eventually, nats::Nats};

/// How many messages each stream holds.
const MESSAGES: usize = 3;
const ACCOUNTS: &str = "certmill-accounts";
const LEDGER: &str = "certmill-ledger";

#[tokio::test]
async fn what_a_deposed_leader_does_not_have_is_asked_of_the_next() {
    let (log, subject, [server]) = connected().await;
    server.is(Leader::Deposed);
    assert_eq!(log.read(&subject, Sequence::NONE).await.unwrap().len(), MESSAGES);
    server.is(Leader::Deposed);
    let last = log.message(Stream::Accounts, Sequence(3)).await.unwrap();
    assert_eq!(last.map(|message| message.subject), Some(subject));
    server.is(Leader::Deposed);
    assert_eq!(log.scan(Stream::Accounts, Sequence::NONE, 10).await.unwrap().len(), MESSAGES);
}

#[tokio::test]
async fn a_server_that_reaches_no_leader_is_left_for_another() {
    let (log, subject, [server, other]) = connected().await;
    server.is(Leader::OutOfReach(&[ACCOUNTS]));
    assert_eq!(log.read(&subject, Sequence::NONE).await.unwrap().len(), MESSAGES);
    let asked = server.asked();
    assert_eq!(log.read(&subject, Sequence::NONE).await.unwrap().len(), MESSAGES);
    assert_eq!(server.asked(), asked);
    assert!(other.asked() > 0);
}

/// As while it is restored, or is overwhelmed: other servers ask the same leader.
#[tokio::test]
async fn a_server_that_reaches_a_leader_is_not_left_whatever_that_one_says() {
    let (log, subject, [server, other]) = connected().await;
    server.is(Leader::Busy);
    log.read(&subject, Sequence::NONE).await.unwrap_err();
    assert_eq!(other.asked(), 0);
}

/// As where two servers are cut off from each other only, each of which leads some streams.
#[tokio::test]
async fn a_server_is_chosen_that_reaches_all_leaders_that_were_missed() {
    let (log, subject, [first, second, third]) = connected().await;
    first.is(Leader::OutOfReach(&[LEDGER]));
    second.is(Leader::OutOfReach(&[ACCOUNTS]));
    third.is(Leader::OutOfReach(&[ACCOUNTS, LEDGER]));
    assert_eq!(log.last_sequence(Stream::Ledger).await.unwrap(), Sequence(3));

    let asked = third.asked() + 4;
    let read = tokio::spawn(async move { log.read(&subject, Sequence::NONE).await });
    eventually("two refusals of the third", async || {
        let is_refused_twice = third.asked() >= asked;
        (is_refused_twice || read.is_finished()).then_some(()).ok_or(())
    })
    .await;
    assert!(!read.is_finished());
    third.is(Leader::Leading);
    assert_eq!(read.await.unwrap().unwrap().len(), MESSAGES);
}

/// A log that is open at the first of these servers, and the subject of its messages.
async fn connected<const COUNT: usize>() -> (ReadOnly, Subject, [StandIn; COUNT]) {
    let (_, subject) = fresh_account();
    let mut servers = Vec::new();
    for _ in 0..COUNT {
        servers.push(StandIn::start(&subject).await);
    }
    let urls = servers.iter().map(|server| server.nats.url()).collect();
    let options = Options { replicas: 3, ..development(urls) };
    let log = JetStream::open_read_only(&options).await.unwrap();
    servers.sort_by_key(|server| server.asked() == 0);
    (log, subject, servers.try_into().ok().unwrap())
}

/// Who answers questions about streams.
#[derive(Clone, Copy, PartialEq)]
enum Leader {
    /// Has all messages.
    Leading,
    /// Has the first message only.
    Deposed,
    /// As before, but hears nobody any more, and is replaced once it has said so.
    Alone,
    /// Says that it leads, and nothing else.
    Busy,
    /// For these streams, somebody whom the server does not reach.
    OutOfReach(&'static [&'static str]),
}

/// A server where somebody answers in place of JetStream.
struct StandIn {
    nats: Nats,
    answers: Arc<Answers>,
}

struct Answers {
    /// The subject of all messages.
    subject: String,
    leader: Mutex<Leader>,
    /// How many questions were asked.
    asked: AtomicUsize,
}

impl StandIn {
    async fn start(subject: &Subject) -> Self {
        let nats = Nats::start_without_jetstream().await;
        let client = async_nats::connect(nats.url()).await.unwrap();
        let mut questions = client.subscribe("$JS.API.STREAM.>").await.unwrap();
        client.flush().await.unwrap();
        let (subject, leader) = (format!("certmill.{subject}"), Mutex::new(Leader::Leading));
        let answers = Arc::new(Answers { subject, leader, asked: AtomicUsize::new(0) });
        let answering = answers.clone();
        // Ends with the server.
        tokio::spawn(async move {
            while let Some(Message { subject, payload, reply, .. }) = questions.next().await {
                let answer = serde_json::to_vec(&answering.to(&subject, &payload)).unwrap();
                client.publish(reply.unwrap(), answer.into()).await.unwrap();
            }
        });
        Self { nats, answers }
    }

    /// From now on.
    fn is(&self, leader: Leader) {
        *self.answers.leader.lock().unwrap() = leader;
    }

    fn asked(&self) -> usize {
        self.answers.asked.load(Ordering::Relaxed)
    }
}

impl Answers {
    fn to(&self, subject: &str, payload: &[u8]) -> Value {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let question = subject.strip_prefix("$JS.API.STREAM.").unwrap();
        let mut leader = self.leader.lock().unwrap();
        match (question.rsplit_once('.').unwrap(), *leader) {
            ((_, "certmill-orders-02"), _) => refusal(10059),
            ((_, stream), Leader::OutOfReach(all)) if all.contains(&stream) => refusal(10008),
            (("INFO", _), _) => info(&mut leader),
            (_, Leader::Busy) => refusal(10008),
            (_, _) => self.message(&mut leader, &serde_json::from_slice(payload).unwrap()),
        }
    }

    fn message(&self, leader: &mut Leader, get: &Value) -> Value {
        let mut last = MESSAGES as u64;
        if matches!(leader, Leader::Deposed | Leader::Alone) {
            (*leader, last) = (Leader::Alone, 1);
        }
        match get["seq"].as_u64().unwrap_or(last) {
            seq if seq <= last => json!({ "message": {
                "subject": self.subject,
                "seq": seq,
                "data": STANDARD.encode(envelope()),
                "time": "2026-11-23T00:00:00Z",
            }}),
            _ => refusal(10037),
        }
    }
}

fn info(leader: &mut Leader) -> Value {
    let mut silence = 1;
    if *leader == Leader::Alone {
        (*leader, silence) = (Leader::Leading, 10_000_000_000_u64);
    }
    let other = |name| json!({ "name": name, "current": true, "active": silence });
    json!({
        "config": {},
        "created": "2026-11-23T00:00:00Z",
        "state": { "messages": MESSAGES, "last_seq": MESSAGES },
        "cluster": { "leader": "a", "replicas": [other("b"), other("c")] },
    })
}

fn envelope() -> Vec<u8> {
    let envelope = Envelope::new(MessageId::random(), &context(), &[account_update("a")]).unwrap();
    serde_json::to_vec(&envelope).unwrap()
}

fn refusal(code: u64) -> Value {
    json!({ "error": { "code": 404, "err_code": code, "description": "no" } })
}
