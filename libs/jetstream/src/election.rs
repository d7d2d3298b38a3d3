//! Waiting for the next leader of a stream.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long the next leader is waited for. Servers notice the sudden death of one four to nine seconds after they last heard
/// of it, and vote again within a second if nobody won.
const PATIENCE: Duration = Duration::from_secs(12);
/// The first pause before the servers are asked again, for leaders that stepped down and have a successor at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest, to each of which the one before is doubled, so that many who wait do not keep the servers from electing.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// An election that somebody waits for.
pub(crate) struct Election {
    began: Instant,
    pause: Duration,
}

impl Election {
    /// Begins to wait.
    pub(crate) fn awaited() -> Self {
        Self { began: Instant::now(), pause: FIRST_PAUSE }
    }

    /// For how long it has been waited.
    pub(crate) fn waited(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether the servers are to be asked again, for which this waits a moment; no, when it took too long already.
    pub(crate) async fn goes_on(&mut self) -> bool {
        let is_awaited = self.waited() < PATIENCE;
        if is_awaited {
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        is_awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_died_is_waited_for_and_one_that_stepped_down_is_not_missed() {
        let started = Instant::now();
        let (mut election, mut asked) = (Election::awaited(), Vec::new());
        while election.goes_on().await {
            asked.push(started.elapsed());
        }
        assert_eq!(asked[0], FIRST_PAUSE);
        assert!((PATIENCE..PATIENCE + LONGEST_PAUSE).contains(asked.last().unwrap()), "{asked:?}");
        assert!(asked.len() < 40, "{} times", asked.len());
    }
}
