//! Plans of what goes wrong, and what that means for one use of a port.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// Redelivery without the patience that a real fault deserves.
const SOON: Duration = Duration::from_millis(2);

/// How a conflict is told to what makes errors.
pub(crate) const CONFLICT: &str = "conflict";

/// What a port is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Port {
    Append,
    Read,
    Message,
    Scan,
    LastSequence,
    View,
    PutView,
    Index,
    PutIndex,
    Crl,
    PutCrl,
    Next,
    Acknowledge,
}

/// What becomes of one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It works.
    Done,
    /// It works after others had so many turns.
    Slow(u32),
    /// Nothing happens, and the caller learns only that it failed.
    Lost,
    /// It happens, but the caller learns only that it failed. A delivery comes twice.
    ReplyLost,
    /// It happens after others had so many turns, when the caller was told that it failed.
    Late(u32),
    /// Somebody else is said to have been faster.
    Conflict,
    /// The port remembers nothing.
    Forgotten,
    /// The process ends before it happens.
    Crash,
    /// The process ends when it has happened.
    CrashAfter,
}

type Plan = dyn Fn(Port, &str) -> Fate + Send + Sync;

/// A plan, and whether it has come to a crash.
pub(crate) struct Faults {
    plan: Box<Plan>,
    crashed: watch::Sender<bool>,
    /// The longest wait until a delivery that was given back comes again.
    pub(crate) redelivery: Duration,
    /// What the role's consumers are called instead, as those of another cluster's signer.
    pub(crate) consumer_suffix: &'static str,
}

impl Faults {
    /// Lets a plan decide, by port and by what it is used on: an order's subject or else the stream.
    pub(crate) fn new(plan: impl Fn(Port, &str) -> Fate + Send + Sync + 'static) -> Self {
        Self {
            plan: Box::new(plan),
            crashed: watch::Sender::new(false),
            redelivery: SOON,
            consumer_suffix: "",
        }
    }

    /// Nothing goes wrong.
    pub(crate) fn none() -> Self {
        Self::new(|_, _| Fate::Done)
    }

    /// The n-th step of an issuance, from 1, meets its fate; the counter tells how many there were.
    pub(crate) fn at(n: u64, fate: Fate) -> (Self, Arc<AtomicU64>) {
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        let plan = move |port, key: &str| {
            let is_step = match port {
                Port::Append | Port::Read | Port::Message | Port::View | Port::PutView => {
                    key != "revocations" || port == Port::Append
                }
                Port::Index | Port::PutIndex | Port::Acknowledge => true,
                Port::Scan | Port::LastSequence | Port::Crl | Port::PutCrl | Port::Next => false,
            };
            let hit = is_step && counted.fetch_add(1, Ordering::Relaxed) + 1 == n;
            if hit { fate } else { Fate::Done }
        };
        (Self::new(plan), steps)
    }

    pub(crate) fn fate(&self, port: Port, key: &str) -> Fate {
        (self.plan)(port, key)
    }

    /// Waits until the process is to end.
    pub(crate) async fn crashed(&self) {
        let _ = self.crashed.subscribe().wait_for(|crashed| *crashed).await;
    }

    /// Lets one use meet its fate; what happens late is up to the port.
    pub(crate) async fn meet<T: Default, E>(
        &self,
        fate: Fate,
        failure: fn(&'static str) -> E,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match fate {
            Fate::Done => work.await,
            Fate::Slow(turns) => {
                pass(turns).await;
                work.await
            }
            Fate::Lost | Fate::Late(_) => Err(failure("lost on purpose")),
            Fate::Conflict => Err(failure(CONFLICT)),
            Fate::ReplyLost => {
                work.await?;
                Err(failure("the reply was lost on purpose"))
            }
            Fate::Forgotten => Ok(T::default()),
            Fate::Crash => self.crash().await,
            Fate::CrashAfter => {
                drop(work.await);
                self.crash().await
            }
        }
    }

    /// Says that the process is to end, and never goes on.
    pub(crate) async fn crash<T>(&self) -> T {
        self.crashed.send_replace(true);
        std::future::pending().await
    }
}

/// Lets others have turns.
pub(crate) async fn pass(turns: u32) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}
