//! Calls as core NATS requests: all servers share a queue group, so that one of them answers.

use async_nats::{Client, Message, RequestErrorKind, Subscriber, client::Request};
use eventstore::{CALL_TIMEOUT, CALLS_WAITING, Call, CallError};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use crate::connection::{ApiError, Connection};

/// The queue group of those who serve.
const GROUP: &str = "servers";
/// The longest question looked at.
const MAX_QUESTION_BYTES: usize = 64 * 1024;

pub(crate) async fn call(
    connection: &Connection,
    subject: String,
    question: Vec<u8>,
) -> Result<Vec<u8>, CallError> {
    let client = &connection.client;
    // An inbox of its own: the one that requests share keeps an entry for each that is never answered, and clients can
    // cause any number of these.
    let question = Request::new().payload(question.into()).inbox(client.new_inbox());
    let answering = async {
        // Without a connection the question would wait in memory, and be sent when nobody waits for its answer any
        // more.
        connection.wait_until_up().await?;
        connection.answered(client.send_request(subject, question)).await
    };
    match tokio::time::timeout(CALL_TIMEOUT, answering).await {
        Ok(Ok(Ok(answer))) => Ok(answer.payload.to_vec()),
        Ok(Ok(Err(error))) => match error.kind() {
            RequestErrorKind::NoResponders | RequestErrorKind::TimedOut => {
                Err(CallError::Unanswered)
            }
            RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::Other => Err(CallError::Unavailable(error.into())),
        },
        Err(_) | Ok(Err(ApiError::TimedOut)) => Err(CallError::Unanswered),
        Ok(Err(error)) => Err(CallError::Unavailable(error.into())),
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
