//! Calls as core NATS requests: all servers share a queue group, so that one of them answers.

use async_nats::{Client, Message, RequestError, RequestErrorKind, Subscriber, client::Request};
use bytes::Bytes;
use eventstore::{CALL_TIMEOUT, CALLS_WAITING, Call, CallError};
use futures::StreamExt as _;
use tokio::{sync::mpsc, time::timeout};

use crate::connection::{ApiError, Connection};

/// The queue group of those who serve.
const GROUP: &str = "servers";
/// The longest question looked at.
const MAX_QUESTION_BYTES: usize = 64 * 1024;

/// Asks one of those who serve. If none of them answers, the server may be cut off from them, and is left then.
pub(crate) async fn call(
    connection: &Connection,
    subject: String,
    question: Vec<u8>,
) -> Result<Vec<u8>, CallError> {
    let asking = ask(connection, subject, question.into());
    let answer = timeout(CALL_TIMEOUT, asking).await.unwrap_or(Err(CallError::Unanswered));
    if matches!(answer, Err(CallError::Unanswered)) {
        connection.doubt_server();
    }
    answer
}

/// Asks, and asks again over the next connection if this one is lost before the answer comes.
async fn ask(
    connection: &Connection,
    subject: String,
    question: Bytes,
) -> Result<Vec<u8>, CallError> {
    let unavailable = |error: ApiError| CallError::Unavailable(error.into());
    let client = &connection.client;
    loop {
        // Without a connection the question would wait in memory, and be sent when nobody waits for its answer any
        // more.
        connection.wait_until_up().await.map_err(unavailable)?;
        // An inbox of its own: the one that requests share keeps an entry for each that is never answered, and clients can
        // cause any number of these.
        let request = Request::new().payload(question.clone()).inbox(client.new_inbox());
        let answer = connection.answered(client.send_request(subject.clone(), request)).await;
        return match answer {
            Ok(Ok(answer)) => Ok(answer.payload.to_vec()),
            Ok(Err(error)) => Err(unanswered(error)),
            Err(ApiError::TimedOut) => Err(CallError::Unanswered),
            Err(ApiError::Interrupted) => continue,
            Err(error) => Err(unavailable(error)),
        };
    }
}

fn unanswered(error: RequestError) -> CallError {
    match error.kind() {
        RequestErrorKind::NoResponders | RequestErrorKind::TimedOut => CallError::Unanswered,
        RequestErrorKind::InvalidSubject
        | RequestErrorKind::MaxPayloadExceeded
        | RequestErrorKind::Other => CallError::Unavailable(error.into()),
    }
}

pub(crate) async fn serve(
    client: &Client,
    subject: String,
) -> Result<mpsc::Receiver<Call>, CallError> {
    let subscriber = client
        .queue_subscribe(subject, GROUP.to_owned())
        .await
        .map_err(|error| CallError::Unavailable(error.into()))?;
    let (sender, calls) = mpsc::channel(CALLS_WAITING);
    // Ends when the receiver is dropped, or with the connection.
    tokio::spawn(forward(client.clone(), subscriber, sender));
    Ok(calls)
}

async fn forward(client: Client, mut subscriber: Subscriber, calls: mpsc::Sender<Call>) {
    loop {
        let message = tokio::select! {
            message = subscriber.next() => message,
            () = calls.closed() => None,
        };
        let Some(Message { payload, reply, .. }) = message else { return };
        let Some(reply) = reply else { continue };
        if payload.len() > MAX_QUESTION_BYTES {
            continue;
        }
        let (call, answer) = Call::new(payload.to_vec());
        // Where too many wait, whoever asks hears nothing and tries again later.
        if calls.try_send(call).is_err() {
            continue;
        }
        let client = client.clone();
        tokio::spawn(async move {
            if let Ok(answer) = answer.await
                && let Err(error) = client.publish(reply, answer.into()).await
            {
                tracing::debug!(error = &error as &dyn std::error::Error, "answer not sent");
            }
        });
    }
}
