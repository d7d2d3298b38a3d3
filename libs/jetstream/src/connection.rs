//! The connection that everything goes through, and requests to the JetStream API.

mod credentials;
mod deaf;
mod denials;
mod diagnosis;
mod lonely;
mod servers;
mod settings;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, Event,
    connection::State,
    jetstream::{
        self, Context, ErrorCode,
        context::{ContextBuilder, RequestError, RequestErrorKind},
        response::Response,
    },
};
use bytes::Bytes;
use eventstore::StoreError;
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

use self::{
    deaf::Deaf,
    denials::Denials,
    lonely::{Choice, Mender, Overdue},
    settings::settings,
};
use crate::{ConnectError, Options, election::Election, stream_info::StreamInfo};

/// How long an operation waits for a lost connection to be replaced, beside the time that a server may take that hangs and
/// is tried first.
const RECONNECTION_TIME: Duration = Duration::from_secs(1);

/// How long a question is left without an answer before it is asked once more.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often a connection is given up at most because its server takes too little.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// Where the JetStream API says what it knows of the account, which needs a server that reaches the others.
pub(crate) const ACCOUNT_INFO: &str = "INFO";

/// What the subjects of the JetStream API begin with.
const API_PREFIX: &str = "$JS.API.";

/// A shared connection that comes back by itself.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    context: Context,
    link: watch::Receiver<Link>,
    denials: Denials,
    overdue: Overdue,
    renewed: Arc<Mutex<Option<Instant>>>,
    _tasks: Arc<Tasks>,
    request_timeout: Duration,
    connect_timeout: Duration,
}

/// What looks after a connection until it is dropped.
struct Tasks([JoinHandle<()>; 3]);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// What is known of the connection to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) up: bool,
    /// How often the connection was lost.
    losses: u64,
}

/// A request was not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("not connected to a server")]
    Disconnected,
    #[error("the connection was lost before the answer came")]
    Interrupted,
    #[error("no server answered in time")]
    TimedOut,
    #[error("the leader of the stream hears too few of the other servers")]
    CutOff,
    #[error("the NATS user may not publish to {subject}")]
    Forbidden { subject: String },
    #[error("a server refused")]
    Refused(#[source] jetstream::Error),
    #[error("the request failed")]
    Failed(#[source] RequestError),
}

impl ApiError {
    /// There is no such stream.
    pub(crate) fn is_stream_not_found(&self) -> bool {
        matches!(self, Self::Refused(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
    }

    /// Nobody has answered in time.
    fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut)
            || matches!(self, Self::Failed(error) if error.kind() == RequestErrorKind::TimedOut)
    }

    /// The same request may succeed in a moment. Servers without a leader answer faster than the leader that others know.
    fn is_transient(&self) -> bool {
        match self {
            Self::Interrupted => true,
            Self::Refused(error) => error.error_code() == ErrorCode::CLUSTER_NOT_AVAILABLE,
            Self::Disconnected
            | Self::TimedOut
            | Self::CutOff
            | Self::Forbidden { .. }
            | Self::Failed(_) => false,
        }
    }
}

impl From<ApiError> for StoreError {
    fn from(error: ApiError) -> Self {
        Self::unavailable(error)
    }
}

impl Connection {
    /// Connects to one of the servers.
    pub(crate) async fn open(options: &Options) -> Result<Self, ConnectError> {
        let (servers, connect) = settings(options)?;
        let (sender, link) = watch::channel(Link { up: true, losses: 0 });
        let (sender, denials, deaf) = (Arc::new(sender), Denials::default(), Deaf::default());
        let (denied, ended) = (denials.clone(), deaf.clone());
        let connect = connect.event_callback(move |event| {
            note(&sender, &denied, &ended, &event);
            async {}
        });
        let choice = Choice::default();
        let connect = choice.clone().govern(connect);
        let client = connect.connect(servers).await.map_err(ConnectError::Unreachable)?;
        let context = ContextBuilder::new().timeout(options.request_timeout).build(client.clone());
        let (overdue, heard) = Overdue::new();
        let mender =
            Mender { client: client.clone(), options: options.clone(), link: link.clone(), choice };
        let tasks = [
            tokio::spawn(diagnosis::run(options.clone(), link.clone())),
            tokio::spawn(deaf.mend(client.clone())),
            tokio::spawn(mender.mend(heard)),
        ];
        Ok(Self {
            client,
            context,
            link,
            denials,
            overdue,
            renewed: Arc::default(),
            _tasks: Arc::new(Tasks(tasks)),
            request_timeout: options.request_timeout,
            connect_timeout: options.connect_timeout,
        })
    }

    /// Follows the connection's ups and downs.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// How often the connection was lost.
    pub(crate) fn losses(&self) -> u64 {
        self.link.borrow().losses
    }

    /// Whether there is a connection right now.
    pub(crate) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until there is a connection, for long enough to find the next server of a cluster.
    pub(crate) async fn wait_until_up(&self) -> Result<(), ApiError> {
        if self.is_up() {
            return Ok(());
        }
        let mut link = self.link.clone();
        let patience = self.connect_timeout + RECONNECTION_TIME;
        match timeout(patience, link.wait_for(|link| link.up)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ApiError::Disconnected),
        }
    }

    /// Connects anew, perhaps to another server: a client learns how large messages may be only when it connects.
    pub(crate) async fn renew(&self) {
        let is_due = {
            let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = renewed.is_none_or(|last| last.elapsed() >= RENEWAL_PAUSE);
            if is_due {
                *renewed = Some(Instant::now());
            }
            is_due
        };
        if is_due && let Err(error) = self.client.force_reconnect().await {
            tracing::debug!(%error, "a connection was not given up");
        }
    }

    /// Waits a moment before a leader is asked again, as [`Election::goes_on`], and says whether to. Notes how long that goes
    /// on already; `question` is one that the leader answers with its [`Leadership`](crate::stream_info::Leadership).
    pub(crate) async fn awaits_leader(&self, question: &str, election: &mut Election) -> bool {
        let goes_on = election.goes_on().await;
        self.note_missing_leader(question, election.waited());
        goes_on
    }

    /// Notes for how long a question has had no answer from who leads. If that is too long, and another server knows who does,
    /// that one is connected to.
    pub(crate) fn note_missing_leader(&self, question: &str, waited: Duration) {
        self.overdue.note(question, waited);
    }

    /// Has the server left if it is cut off from the others, as whoever hears nothing from another process may suspect.
    pub(crate) fn doubt_server(&self) {
        self.overdue.doubt();
    }

    /// Asks the JetStream API, and again while a lost connection or leader is being replaced. Only for requests that
    /// may run twice.
    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        subject: &str,
        payload: &(impl Serialize + Sync),
    ) -> Result<T, ApiError> {
        let mut election = Election::awaited();
        loop {
            let answer = self.ask(subject, payload).await;
            let is_transient = answer.as_ref().is_err_and(ApiError::is_transient);
            if !is_transient || !self.awaits_leader(&question_about(subject), &mut election).await {
                return answer;
            }
        }
    }

    /// Asks the JetStream API for what changes nothing, and once more whenever nobody has answered for a while, until there
    /// was time to elect another leader. One that steps down or dies drops the questions it has, and until the others have
    /// elected nobody takes any; the first question goes on waiting beside the next, because servers that are merely slow
    /// answer it first.
    pub(crate) async fn look_up<T: DeserializeOwned>(
        &self,
        subject: &str,
        payload: &(impl Serialize + Sync),
    ) -> Result<T, ApiError> {
        let (mut asked, mut election) = (FuturesUnordered::new(), Election::awaited());
        loop {
            asked.push(self.ask(subject, payload));
            let Ok(Some(answer)) = timeout(ASKED_AGAIN_AFTER, asked.next()).await else { continue };
            let may_change = |error: &ApiError| error.is_transient() || error.is_silence();
            let is_final = !answer.as_ref().is_err_and(may_change);
            if is_final || !self.awaits_leader(&question_about(subject), &mut election).await {
                return answer;
            }
        }
    }

    /// Publishes a message that nobody confirms, if there is a connection.
    pub(crate) async fn publish(
        &self,
        subject: async_nats::Subject,
        payload: Bytes,
    ) -> Result<(), StoreError> {
        if !self.is_up() {
            // It would wait in memory, for an unknown time, behind all that was published before it.
            return Err(ApiError::Disconnected.into());
        }
        let published = self.answered(self.client.publish(subject, payload)).await?;
        published.map_err(StoreError::unavailable)
    }

    /// Publishes a message and waits until its receiver confirms it.
    pub(crate) async fn publish_confirmed(
        &self,
        subject: async_nats::Subject,
        payload: Bytes,
    ) -> Result<(), ApiError> {
        self.wait_until_up().await?;
        let confirmed = self.answered(self.client.request(subject, payload)).await?;
        confirmed.map(drop).map_err(|_| ApiError::TimedOut)
    }

    /// Waits until everything sent so far has left this process.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        self.answered(self.client.flush()).await?.map_err(StoreError::unavailable)
    }

    /// Waits for an answer. Fails when the connection is lost meanwhile, or when there is none within the request timeout.
    pub(crate) async fn answered<T>(&self, answer: impl Future<Output = T>) -> Result<T, ApiError> {
        let mut link = self.link.clone();
        let losses = link.borrow().losses;
        tokio::select! {
            answer = timeout(self.request_timeout, answer) => {
                answer.map_err(|_| ApiError::TimedOut)
            }
            // An error means that the client, which holds the sender, is gone.
            _ = link.wait_for(|link| link.losses > losses) => Err(ApiError::Interrupted),
        }
    }

    /// Waits for the answer to what was published on a subject. Fails also when the user may not publish there.
    pub(crate) async fn answered_on<T>(
        &self,
        subject: &str,
        answer: impl Future<Output = T>,
    ) -> Result<T, ApiError> {
        tokio::select! {
            answer = self.answered(answer) => answer,
            () = self.denials.of(subject, Instant::now()) => {
                Err(ApiError::Forbidden { subject: subject.to_owned() })
            }
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        subject: &str,
        payload: &(impl Serialize + Sync),
    ) -> Result<T, ApiError> {
        self.wait_until_up().await?;
        let asking = self.context.request(subject.to_owned(), payload);
        let answer = self.answered_on(&format!("{API_PREFIX}{subject}"), asking).await?;
        match answer.map_err(ApiError::Failed)? {
            Response::Ok(value) => Ok(value),
            Response::Err { error } => Err(ApiError::Refused(error)),
        }
    }

    /// The JetStream API by the client's own types.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }
}

/// The question about leadership that goes with a subject of the JetStream API, which ends with a stream or is that of the account.
fn question_about(subject: &str) -> String {
    let stream = subject.rsplit_once('.').map(|(_, stream)| stream);
    stream.map_or_else(|| subject.to_owned(), StreamInfo::subject)
}

fn note(link: &watch::Sender<Link>, denials: &Denials, deaf: &Deaf, event: &Event) {
    match event {
        Event::Connected => link.send_modify(|link| link.up = true),
        Event::Disconnected | Event::Closed => link.send_modify(|link| {
            link.up = false;
            link.losses += 1;
        }),
        Event::ServerError(error) => {
            tracing::warn!(%error, "a NATS server reports an error");
            let said = error.to_string();
            denials.note(&said);
            deaf.note(&said);
        }
        Event::ClientError(error) => tracing::warn!(%error, "the NATS client reports an error"),
        Event::SlowConsumer(_) => tracing::warn!("messages of a NATS subscription were lost"),
        Event::LameDuckMode | Event::Draining => {}
    }
}
