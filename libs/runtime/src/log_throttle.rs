//! Limits how often the same failure is logged.

use std::{
    collections::HashMap,
    error::Error,
    iter,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often a failure is logged that goes on for the same cause.
const INTERVAL: Duration = Duration::from_mins(1);
/// How many causes are remembered; failures for any others are all logged.
const MAX_CAUSES: usize = 64;

/// Lets each cause be logged at once, and then once a minute.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<HashMap<String, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    untold: u64,
}

impl LogThrottle {
    /// Whether an error is due to be logged: how many like it were left out since the last one, or `None` to leave it out, too.
    pub fn due(&self, error: &(dyn Error + 'static)) -> Option<u64> {
        let now = Instant::now();
        let cause = chain(error);
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = causes.get_mut(&cause) {
            if told.at + INTERVAL > now {
                told.untold += 1;
                return None;
            }
            let untold = told.untold;
            *told = Told { at: now, untold: 0 };
            return Some(untold);
        }
        if causes.len() >= MAX_CAUSES {
            causes.retain(|_, told| told.at + INTERVAL > now);
        }
        if causes.len() < MAX_CAUSES {
            causes.insert(cause, Told { at: now, untold: 0 });
        }
        Some(0)
    }
}

/// An error and what led to it.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn because(cause: &str) -> io::Error {
        io::Error::other(cause.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_told_at_once_and_then_once_a_minute() {
        let throttle = LogThrottle::default();
        assert_eq!(throttle.due(&because("disk")), Some(0));
        for _ in 0..29 {
            tokio::time::advance(Duration::from_secs(2)).await;
            assert_eq!(throttle.due(&because("disk")), None);
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(throttle.due(&because("disk")), Some(29));
        assert_eq!(throttle.due(&because("disk")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_cause_is_never_hidden() {
        let throttle = LogThrottle::default();
        for n in 0..2 * MAX_CAUSES {
            assert_eq!(throttle.due(&because(&n.to_string())), Some(0), "{n}");
        }
        assert_eq!(throttle.0.lock().unwrap().len(), MAX_CAUSES);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.due(&because("later")), Some(0));
        assert_eq!(throttle.due(&because("later")), None);
        assert_eq!(throttle.0.lock().unwrap().len(), 1);
    }
}
