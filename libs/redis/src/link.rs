//! The connection: one for all requests, checked when it is made and now and then, replaced when it breaks.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture, future::Shared};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, ScriptInvocation,
    ServerErrorKind, TlsCertificates, aio::MultiplexedConnection,
};
use tokio::time::timeout;
use tracing::warn;

use crate::{Asked, ConnectError, Options, Rights, fault::Fault, rights, server};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one command may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a caller waits in all: for a connection, an answer, and the second try.
const PATIENCE: Duration = Duration::from_millis(1800);

pub(crate) struct Link {
    target: Arc<Target>,
    current: Mutex<Attempt>,
    check_every: Duration,
    observe: fn(&Asked),
}

/// Where a connection leads, and what is needed there.
struct Target {
    url: String,
    tls_roots: Option<PathBuf>,
    rights: Rights,
}

/// A connection that is made, being made, or could not be made. All callers wait for the same one.
#[derive(Clone)]
struct Attempt {
    number: u64,
    /// When the next caller checks its server again.
    check_at: Instant,
    begun: bool,
    connection: Shared<Connecting>,
}

type Connecting = BoxFuture<'static, Result<MultiplexedConnection, ConnectError>>;

#[derive(Clone, Copy)]
enum Request<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command(&'a Cmd),
}

impl Link {
    /// Prepares a link; the connection is made by [`Self::ready`] or the first command.
    pub(crate) fn new(url: &str, options: &Options) -> Result<Self, ConnectError> {
        let target = Target {
            url: url.to_owned(),
            tls_roots: options.tls_roots.clone(),
            rights: options.rights.clone(),
        };
        target.client()?;
        let (target, check_every) = (Arc::new(target), options.check_every);
        let current = Mutex::new(Attempt::new(1, &target, check_every));
        Ok(Self { target, current, check_every, observe: options.observe })
    }

    /// Waits until the connection stands and its server is one to use.
    pub(crate) async fn ready(&self) -> Result<(), ConnectError> {
        self.attempt().connection.await.map(drop)
    }

    /// Calls a script, and loads it if the server does not know it. The name is that in the metrics.
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        name: &'static str,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Fault> {
        self.send(name, Request::Script(call)).await
    }

    /// Sends a command.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, Fault> {
        self.send(name, Request::Command(command)).await
    }

    async fn send<T: FromRedisValue>(
        &self,
        command: &'static str,
        request: Request<'_>,
    ) -> Result<T, Fault> {
        let started = Instant::now();
        let answer = timeout(PATIENCE, self.send_at_most_twice(request)).await;
        let answer = answer.unwrap_or(Err(Fault::TimedOut));
        (self.observe)(&Asked { command, took: started.elapsed(), answered: answer.is_ok() });
        answer
    }

    /// Sends again, on a new connection, what a broken connection may or may not have carried out. Everything sent here
    /// may run twice: reads and guarded writes change nothing the second time, and a nonce whose first redemption was
    /// carried out is found spent by the second, so that it is refused and never accepted twice.
    async fn send_at_most_twice<T: FromRedisValue>(
        &self,
        request: Request<'_>,
    ) -> Result<T, Fault> {
        match self.send_once(request).await {
            Err(Fault::Command(error)) if is_broken(&error) && !error.is_timeout() => {
                self.send_once(request).await
            }
            outcome => outcome,
        }
    }

    async fn send_once<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, Fault> {
        let attempt = self.attempt();
        let mut connection = attempt.connection.await.map_err(|error| {
            self.replace(attempt.number);
            Fault::Connect(error)
        })?;
        if self.is_due_for_check(attempt.number) {
            check(&mut connection, &self.target.rights).await.map_err(|error| match error {
                ConnectError::Unreachable(error) => self.failed(attempt.number, error),
                error => self.given_up(attempt.number, Fault::Connect(error)),
            })?;
        }
        let answer = match request {
            Request::Script(call) => call.invoke_async(&mut connection).await,
            Request::Command(command) => command.query_async(&mut connection).await,
        };
        answer.map_err(|error| self.failed(attempt.number, error))
    }

    fn failed(&self, number: u64, error: RedisError) -> Fault {
        let is_broken = is_broken(&error);
        let fault = Fault::Command(error);
        if is_broken { self.given_up(number, fault) } else { fault }
    }

    fn given_up(&self, number: u64, fault: Fault) -> Fault {
        warn!(error = &fault as &dyn std::error::Error, "redis connection given up");
        self.replace(number);
        fault
    }

    /// Whether the caller is the one to check the connection again.
    fn is_due_for_check(&self, number: u64) -> bool {
        let (mut current, now) = (self.current(), Instant::now());
        if current.number != number || now < current.check_at {
            return false;
        }
        current.check_at = now + self.check_every;
        true
    }

    /// Lets the next caller start anew, unless somebody did already.
    fn replace(&self, number: u64) {
        let mut current = self.current();
        if current.number == number {
            *current = Attempt::new(number + 1, &self.target, self.check_every);
        }
    }

    /// The connection to use. A task makes it, even if the caller that needed it first gives up: polled by nobody, it
    /// would have timed out when the next caller comes. An attempt that failed before this caller came says nothing
    /// about now, and is replaced.
    fn attempt(&self) -> Attempt {
        let mut current = self.current();
        if matches!(current.connection.peek(), Some(Err(_))) {
            *current = Attempt::new(current.number + 1, &self.target, self.check_every);
        }
        if !current.begun {
            current.begun = true;
            tokio::spawn(current.connection.clone());
        }
        current.clone()
    }

    fn current(&self) -> MutexGuard<'_, Attempt> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    fn new(number: u64, target: &Arc<Target>, check_every: Duration) -> Self {
        let connection = connect(Arc::clone(target)).boxed().shared();
        Self { number, check_at: Instant::now() + check_every, begun: false, connection }
    }
}

impl Target {
    fn client(&self) -> Result<Client, ConnectError> {
        let url = self.url.as_str();
        let client = match &self.tls_roots {
            None => Client::open(url),
            Some(path) => {
                let roots = std::fs::read(path).map_err(Arc::new);
                let roots =
                    roots.map_err(|source| ConnectError::Roots { path: path.clone(), source })?;
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(roots) };
                Client::build_with_tls(url, certificates)
            }
        };
        client.map_err(ConnectError::Configuration)
    }
}

async fn connect(target: Arc<Target>) -> Result<MultiplexedConnection, ConnectError> {
    let client = target.client()?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    let mut connection = connection.map_err(ConnectError::Unreachable)?;
    check(&mut connection, &target.rights).await?;
    Ok(connection)
}

/// Asks the server about itself, and tries out what it allows.
async fn check(
    connection: &mut MultiplexedConnection,
    rights: &Rights,
) -> Result<(), ConnectError> {
    let info = redis::cmd("INFO").query_async::<String>(connection).await;
    server::check(&info.map_err(|error| rights::needing("+info", error))?)?;
    rights.check(connection).await
}

/// Whether another connection may work better: this one is gone, hangs, or leads to a server that is a replica now.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_timeout()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}
