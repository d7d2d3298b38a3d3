//! A server that is cut off from the others. It keeps its connections and answers pings, but reaches no leader, though the
//! others have elected.

use std::{
    collections::{HashMap, HashSet},
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, ReconnectToServer, ServerAddr,
    jetstream::{ErrorCode, context::ContextBuilder, response::Response},
};
use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep},
};

use super::{ACCOUNT_INFO, Link, settings::settings};
use crate::{Options, stream_info::Leadership};

/// When whoever waits for a leader doubts the server. Where no other server knows one either, because an election goes on, the
/// connection stays.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a server may take to say who leads.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// The pause before the servers are asked again, and after a minute in vain.
const PAUSE: Duration = Duration::from_secs(2);
const LONG_PAUSE: Duration = Duration::from_secs(15);
/// How long a question that was overdue matters to the choice of a server. Where two servers are cut off from each other only,
/// each knows the leaders of some streams, and the third those of all.
const MEMORY: Duration = Duration::from_mins(1);

/// Hears which questions have no answer from who leads, and whether somebody else does not answer. Clones share it.
#[derive(Clone)]
pub(super) struct Overdue {
    questions: mpsc::Sender<String>,
    doubt: Arc<Notify>,
}

/// What [`Overdue`] heard, one thing at a time: who waits for longer notes it again.
pub(super) struct Heard {
    questions: mpsc::Receiver<String>,
    doubt: Arc<Notify>,
}

impl Overdue {
    pub(super) fn new() -> (Self, Heard) {
        let ((sender, receiver), doubt) = (mpsc::channel(1), Arc::new(Notify::new()));
        (
            Self { questions: sender, doubt: Arc::clone(&doubt) },
            Heard { questions: receiver, doubt },
        )
    }

    pub(super) fn note(&self, question: &str, waited: Duration) {
        if waited >= PATIENCE {
            let _ = self.questions.try_send(question.to_owned());
        }
    }

    /// Notes that another process does not answer, which says little of the server.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }
}

impl Heard {
    /// The next question that has no answer; `None` when nobody can note any more.
    async fn next(&mut self, client: &Client) -> Option<String> {
        loop {
            tokio::select! {
                question = self.questions.recv() => return question,
                () = self.doubt.notified() => {
                    if answered(client, &[ACCOUNT_INFO]).await.is_empty() {
                        return Some(ACCOUNT_INFO.to_owned());
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }
}

/// The server to connect to next, if it matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice(Arc<Mutex<Option<ServerAddr>>>);

impl Choice {
    /// Has the client obey.
    pub(super) fn govern(self, connect: ConnectOptions) -> ConnectOptions {
        connect.reconnect_to_server_callback(move |_, _| {
            let chosen = self.lock().take();
            async { chosen.map(|addr| ReconnectToServer { addr, delay: Some(Duration::ZERO) }) }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<ServerAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves a connection to servers that know more leaders.
pub(super) struct Mender {
    pub(super) client: Client,
    pub(super) options: Options,
    pub(super) link: watch::Receiver<Link>,
    pub(super) choice: Choice,
}

impl Mender {
    /// Looks for another server whenever a question is overdue, until nobody can note any more.
    pub(super) async fn mend(self, mut overdue: Heard) {
        let (mut asked, mut began) = (HashMap::new(), Instant::now());
        while let Some(question) = overdue.next(&self.client).await {
            asked.retain(|_, noted: &mut Instant| noted.elapsed() < MEMORY);
            if asked.is_empty() {
                began = Instant::now();
            }
            asked.insert(question, Instant::now());
            let questions: Vec<&str> = asked.keys().map(String::as_str).collect();
            if self.move_for(&questions).await {
                began = Instant::now();
            }
            sleep(if began.elapsed() < MEMORY { PAUSE } else { LONG_PAUSE }).await;
        }
    }

    /// Moves to a server that is better for these questions, if there is one and the connection has not moved by itself.
    async fn move_for(&self, questions: &[&str]) -> bool {
        let losses = self.link.borrow().losses;
        let Some((addr, server)) = self.better(questions).await else { return false };
        if self.link.borrow().losses != losses {
            return false;
        }
        let left = self.client.server_info().server_name;
        tracing::warn!(left, server, ?questions, "a NATS server that reaches no leader is left");
        *self.choice.lock() = Some(addr);
        self.client.force_reconnect().await.is_ok()
    }

    /// A server that has an answer to whatever this one has, and to more, and its name.
    async fn better(&self, questions: &[&str]) -> Option<(ServerAddr, String)> {
        let pool = self.client.server_pool().await.ok()?;
        if answered(&self.client, questions).await.len() == questions.len() {
            return None;
        }
        let own = self.client.server_info().server_id;
        let ask = async |addr: ServerAddr| {
            let (_, connect) = settings(&self.options).ok()?;
            let other = connect.max_reconnects(1).connect(addr.clone()).await.ok()?;
            let info = other.server_info();
            let known = answered(&other, questions).await;
            (info.server_id != own).then_some((addr, info.server_name, known))
        };
        let asked: FuturesUnordered<_> = pool.into_iter().map(|server| ask(server.addr)).collect();
        let mut asked = Box::pin(asked.filter_map(ready));
        while let Some((addr, name, known)) = asked.next().await {
            // An election may have ended meanwhile.
            let own = answered(&self.client, questions).await;
            if own.is_subset(&known) && own != known {
                return Some((addr, name));
            }
        }
        None
    }
}

/// The questions that a server answers, or has answered by who leads. That there is no such stream is an answer.
async fn answered<'a>(client: &Client, questions: &[&'a str]) -> HashSet<&'a str> {
    let context = ContextBuilder::new().timeout(ANSWER_TIME).build(client.clone());
    let ask = async |question: &&'a str| {
        let answer = context.request((*question).to_owned(), &()).await.ok()?;
        let is_answered = match answer {
            Response::Ok(leadership) => Leadership::is_held(&leadership),
            Response::Err { error } => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        };
        is_answered.then_some(*question)
    };
    join_all(questions.iter().map(ask)).await.into_iter().flatten().collect()
}
