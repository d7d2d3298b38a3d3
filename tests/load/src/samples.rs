//! How long each step took.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Fetching a nonce; only needed when no reply has brought one.
    Nonce,
    /// Placing the order.
    NewOrder,
    /// Reading the authorization.
    Authorization,
    /// Answering the challenge.
    Challenge,
    /// From the reply to the challenge until the order is seen to be ready, if the challenge was not valid yet.
    ValidationPoll,
    /// Finalizing.
    Finalize,
    /// From the reply to finalize until the order is seen to be valid, if it was not yet.
    IssuancePoll,
    /// Downloading the chain.
    Download,
    /// A whole issuance, from placing the order to holding the chain.
    Issuance,
}

impl Step {
    /// Every step, in order.
    pub(crate) const ALL: [Self; 9] = [
        Self::Nonce,
        Self::NewOrder,
        Self::Authorization,
        Self::Challenge,
        Self::ValidationPoll,
        Self::Finalize,
        Self::IssuancePoll,
        Self::Download,
        Self::Issuance,
    ];

    /// The step in a table's head.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Nonce => "nonce",
            Self::NewOrder => "newOrder",
            Self::Authorization => "authorization",
            Self::Challenge => "challenge",
            Self::ValidationPoll => "poll ready",
            Self::Finalize => "finalize",
            Self::IssuancePoll => "poll valid",
            Self::Download => "download",
            Self::Issuance => "issuance",
        }
    }
}

/// The durations of every step, all of them, so that percentiles are exact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(BTreeMap<Step, Vec<Duration>>);

impl Samples {
    /// Remembers one duration.
    pub(crate) fn record(&mut self, step: Step, duration: Duration) {
        self.0.entry(step).or_default().push(duration);
    }

    /// Takes in all of the other.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (step, durations) in other.0 {
            self.0.entry(step).or_default().extend(durations);
        }
    }

    /// What is known of each step that happened.
    pub(crate) fn latencies(&self) -> BTreeMap<Step, Latency> {
        self.0
            .iter()
            .filter_map(|(step, durations)| Some((*step, Latency::of(durations.clone())?)))
            .collect()
    }
}

/// The distribution of a step's durations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    /// How many there were.
    pub(crate) count: usize,
    /// Half took no longer.
    pub(crate) p50_ms: f64,
    /// Of a hundred, 99 took no longer.
    pub(crate) p99_ms: f64,
    /// None took longer.
    pub(crate) max_ms: f64,
}

impl Latency {
    fn of(mut durations: Vec<Duration>) -> Option<Self> {
        durations.sort_unstable();
        let at_percent = |percent: usize| {
            // The nearest rank: the smallest value that at least so many percent do not exceed.
            let rank = (durations.len() * percent).div_ceil(100);
            durations.get(rank.saturating_sub(1)).map(|duration| duration.as_secs_f64() * 1000.0)
        };
        Some(Self {
            count: durations.len(),
            p50_ms: at_percent(50)?,
            p99_ms: at_percent(99)?,
            max_ms: at_percent(100)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut samples = Samples::default();
        for milliseconds in (1..=200).rev() {
            samples.record(Step::Finalize, Duration::from_millis(milliseconds));
        }
        let expected = Latency { count: 200, p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 };
        assert_eq!(samples.latencies(), BTreeMap::from([(Step::Finalize, expected)]));
    }

    #[test]
    fn a_single_sample_is_every_percentile() {
        let only = Latency::of(vec![Duration::from_millis(7)]);
        assert_eq!(only, Some(Latency { count: 1, p50_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 }));
        assert_eq!(Latency::of(Vec::new()), None);
    }
}
