//! The port by which one role asks another and waits for the answer. Nothing is stored: it is for questions that are of no
//! interest once they are answered.

mod crl;
mod ocsp;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

pub use self::{crl::CrlAnswer, ocsp::OcspAnswer};

/// How long an answer is waited for.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How many questions of one service may wait to be answered.
pub const CALLS_WAITING: usize = 1024;

/// Asks and serves.
#[async_trait]
pub trait Calls: Send + Sync {
    /// Asks one of those who serve, and perhaps another if the connection is lost before the answer comes.
    ///
    /// # Errors
    /// When nobody answers in time.
    async fn call(&self, service: Service, question: Vec<u8>) -> Result<Vec<u8>, CallError>;

    /// Begins to serve; the questions end when the receiver is dropped.
    ///
    /// # Errors
    /// When it cannot be served now.
    async fn serve(&self, service: Service) -> Result<mpsc::Receiver<Call>, CallError>;
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// A signed response to an OCSP request, from the signer: an [`OcspAnswer`].
    Ocsp,
    /// Whether a CRL is published, from the signer: a [`CrlAnswer`].
    Crl,
}

impl Service {
    /// The service's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ocsp => "ocsp",
            Self::Crl => "crl",
        }
    }
}

/// Nobody answered.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody serves, or whoever does has too much to do.
    #[error("nobody answers for now")]
    Unanswered,
    /// What lies between is out of reach.
    #[error("those who answer are out of reach")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A question that waits for its answer; dropping it leaves it unanswered.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub question: Vec<u8>,
    reply: oneshot::Sender<Vec<u8>>,
}

impl Call {
    /// Puts a question together, with where its answer goes.
    pub fn new(question: Vec<u8>) -> (Self, oneshot::Receiver<Vec<u8>>) {
        let (reply, answer) = oneshot::channel();
        (Self { question, reply }, answer)
    }

    /// Answers; whoever asked may be gone.
    pub fn answer(self, answer: Vec<u8>) {
        drop(self.reply.send(answer));
    }
}

/// Calls within one process.
#[derive(Debug, Default)]
pub struct LocalCalls {
    serving: Mutex<HashMap<Service, mpsc::Sender<Call>>>,
}

impl LocalCalls {
    fn server(&self, service: Service) -> Option<mpsc::Sender<Call>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).get(&service).cloned()
    }
}

#[async_trait]
impl Calls for LocalCalls {
    async fn call(&self, service: Service, question: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let (call, answer) = Call::new(question);
        let server = self.server(service).ok_or(CallError::Unanswered)?;
        server.try_send(call).map_err(|_| CallError::Unanswered)?;
        match tokio::time::timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(CallError::Unanswered),
        }
    }

    async fn serve(&self, service: Service) -> Result<mpsc::Receiver<Call>, CallError> {
        let (sender, calls) = mpsc::channel(CALLS_WAITING);
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        serving.insert(service, sender);
        Ok(calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_is_answered_by_whoever_serves() {
        let calls = LocalCalls::default();
        let unanswered = calls.call(Service::Ocsp, b"?".to_vec()).await;
        assert!(matches!(unanswered, Err(CallError::Unanswered)));
        let mut served = calls.serve(Service::Ocsp).await.unwrap();
        let (answer, ()) = tokio::join!(calls.call(Service::Ocsp, b"?".to_vec()), async {
            let call = served.recv().await.unwrap();
            assert_eq!(call.question, b"?");
            call.answer(b"!".to_vec());
        });
        assert_eq!(answer.unwrap(), b"!");
        drop(served);
        assert!(calls.call(Service::Ocsp, vec![]).await.is_err());
    }
}
