//! What is said by a leader that was replaced and does not know it yet.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_nats::{Client, Message, Subscriber};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use eventstore::{
    Envelope, EventStore as _, MessageId, Sequence, Stream, Subject,
    contract::{context, fresh_account},
};
use futures::StreamExt as _;
use jetstream::{JetStream, Options};
use serde_json::{Value, json};

use super::{account_update, development, nats::Nats};

/// How many messages the stream of accounts holds.
const MESSAGES: u64 = 3;

#[tokio::test]
async fn what_a_deposed_leader_does_not_have_is_asked_of_the_next() {
    let server = Nats::start_without_jetstream().await;
    let (_, subject) = fresh_account();
    let is_deposed = Leaders::start(&server, &subject).await;
    let options = Options { replicas: 3, ..development(vec![server.url()]) };
    let log = JetStream::open_read_only(&options).await.unwrap();

    is_deposed.store(true, Ordering::Relaxed);
    // For the next read, the leader has been replaced again.
    let found_out = || !is_deposed.swap(true, Ordering::Relaxed);
    assert_eq!(log.read(&subject, Sequence::NONE).await.unwrap().len(), 3);
    assert!(found_out());
    let last = log.message(Stream::Accounts, Sequence(MESSAGES)).await.unwrap();
    assert_eq!(last.map(|message| message.subject), Some(subject));
    assert!(found_out());
    assert_eq!(log.scan(Stream::Accounts, Sequence::NONE, 10).await.unwrap().len(), 3);
    assert!(found_out());
}

/// Answers what reading asks: as the leader, which has all messages, or as a deposed one, which has the first only. The
/// deposed one is asked for a message, then finds out that it hears nobody, and is not asked again.
struct Leaders {
    client: Client,
    subject: String,
    is_deposed: Arc<AtomicBool>,
    /// Whether the deposed one has answered already.
    has_misled: bool,
}

impl Leaders {
    /// Begins to answer in place of JetStream; what is returned tells who answers.
    async fn start(server: &Nats, subject: &Subject) -> Arc<AtomicBool> {
        let client = async_nats::connect(server.url()).await.unwrap();
        let questions = client.subscribe("$JS.API.STREAM.>").await.unwrap();
        client.flush().await.unwrap();
        let is_deposed = Arc::new(AtomicBool::new(false));
        let subject = format!("certmill.{subject}");
        let leaders = Self { client, subject, is_deposed: is_deposed.clone(), has_misled: false };
        // Ends with the server.
        tokio::spawn(leaders.answer(questions));
        is_deposed
    }

    async fn answer(mut self, mut questions: Subscriber) {
        while let Some(Message { subject, payload, reply, .. }) = questions.next().await {
            let question = subject.strip_prefix("$JS.API.STREAM.").unwrap();
            let answer = match question.rsplit_once('.').unwrap() {
                (_, "certmill-orders-02") => refusal(10059),
                ("INFO", _) => self.info(),
                (_, _) => self.message(&serde_json::from_slice(&payload).unwrap()),
            };
            let answer = serde_json::to_vec(&answer).unwrap();
            self.client.publish(reply.unwrap(), answer.into()).await.unwrap();
        }
    }

    fn info(&mut self) -> Value {
        let hears_nobody = mem::take(&mut self.has_misled);
        if hears_nobody {
            self.is_deposed.store(false, Ordering::Relaxed);
        }
        let active = if hears_nobody { 10_000_000_000_u64 } else { 1 };
        let other = |name| json!({ "name": name, "current": true, "active": active });
        json!({
            "config": {},
            "created": "2026-11-23T00:00:00Z",
            "state": { "messages": MESSAGES, "last_seq": MESSAGES },
            "cluster": { "leader": "a", "replicas": [other("b"), other("c")] },
        })
    }

    fn message(&mut self, get: &Value) -> Value {
        let is_deposed = self.is_deposed.load(Ordering::Relaxed);
        self.has_misled |= is_deposed;
        let last = if is_deposed { 1 } else { MESSAGES };
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

fn envelope() -> Vec<u8> {
    let envelope = Envelope::new(MessageId::random(), &context(), &[account_update("a")]).unwrap();
    serde_json::to_vec(&envelope).unwrap()
}

fn refusal(code: u64) -> Value {
    json!({ "error": { "code": 404, "err_code": code, "description": "not found" } })
}
