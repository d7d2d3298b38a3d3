//! Questions to other roles, and what stays of those that nobody answers.

use std::time::Duration;

use eventstore::{Calls as _, Service};
use futures::future::join_all;
use tokio::time::timeout;

use super::{
    Logs, development,
    nats::{Nats, Sync},
};

/// Calls at once, and how often. Before they are measured memory has grown to what they take while they wait.
const AT_ONCE: usize = 2000;
const ROUNDS: usize = 30;
const WARM_UP: usize = 10;
/// For how long each is waited for: as with a client that hangs up.
const PATIENCE: Duration = Duration::from_millis(50);
/// What memory may grow by for each of them.
const MOST_BYTES: usize = 100;

/// The memory of this process that is in use, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
}

#[tokio::test]
async fn of_calls_that_nobody_answers_nothing_stays() {
    let server = Nats::start(Sync::Lazy).await;
    let logs = Logs(development(vec![server.url()]));
    let (asking, serving) = (logs.connect().await, logs.connect().await);
    // It takes as many as may wait, and answers none.
    let _busy = serving.serve(Service::Ocsp).await.unwrap();
    let mut before = 0;
    for round in 0..ROUNDS {
        if round == WARM_UP {
            before = resident();
        }
        let calls =
            (0..AT_ONCE).map(|_| timeout(PATIENCE, asking.call(Service::Ocsp, vec![1; 100])));
        join_all(calls).await;
    }
    let grown = resident().saturating_sub(before) / ((ROUNDS - WARM_UP) * AT_ONCE);
    assert!(grown < MOST_BYTES, "{grown} bytes for each");
}
