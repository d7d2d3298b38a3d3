//! What a run found.

mod filling;
pub(crate) mod markdown;
mod table;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

pub(crate) use self::filling::{Filling, Point};
use crate::{
    applicant::Counters,
    machine::Machine,
    options::Options,
    progress,
    samples::{Latency, Samples, Step},
    server::Kind,
    targets::Verdict,
};

/// Everything a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Where and of what the figures are.
    pub(crate) machine: Machine,
    /// How long each measurement was and how many rounds there were.
    pub(crate) plan: String,
    /// The programs of each server.
    pub(crate) versions: BTreeMap<Kind, String>,
    /// What was not measured, and why.
    pub(crate) skipped: Vec<String>,
    /// How often servers that are known to stop answering did so; those measurements were made again.
    pub(crate) hangs: BTreeMap<Kind, usize>,
    /// Every measurement.
    pub(crate) rounds: Vec<Round>,
    /// All rounds together.
    pub(crate) comparisons: Vec<Comparison>,
    /// What becomes of servers that are filled.
    pub(crate) fillings: Vec<Filling>,
    /// What was to be reached.
    pub(crate) verdicts: Vec<Verdict>,
}

/// One measurement of one server.
#[derive(Debug, Serialize)]
pub(crate) struct Round {
    /// Counted from 1.
    pub(crate) round: usize,
    /// The server.
    pub(crate) server: Kind,
    /// How many workers there were.
    pub(crate) workers: usize,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// How many certificates there were.
    pub(crate) certificates: u64,
    /// How many of them were looked at.
    pub(crate) checked: u64,
    /// What each of the server's processes used.
    pub(crate) server_cpu: BTreeMap<String, Duration>,
    /// What this program used, answering challenges included.
    pub(crate) client_cpu: Duration,
    /// The most memory of all processes since the start of the server.
    pub(crate) peak_bytes: u64,
    /// What else happened.
    pub(crate) counters: Counters,
    /// Why issuances failed.
    pub(crate) failures: Vec<String>,
    /// Whether the server stopped answering.
    pub(crate) hung: bool,
}

impl Round {
    /// Certificates per second.
    pub(crate) fn rate(&self) -> f64 {
        ratio(count(self.certificates), self.elapsed.as_secs_f64())
    }

    /// One line for whoever waits.
    pub(crate) fn summary(&self) -> String {
        let cpu: Duration = self.server_cpu.values().sum();
        let failure = self.failures.first().map(|it| format!(": {it}")).unwrap_or_default();
        format!(
            "  {} workers: {:.0} certificates/s, {:.2} ms of CPU each, {} failures{failure}",
            self.workers,
            self.rate(),
            ratio(milliseconds(cpu), count(self.certificates)),
            self.failures.len(),
        )
    }
}

/// All rounds of one server with one number of workers.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// The server.
    pub(crate) server: Kind,
    /// How many workers there were.
    pub(crate) workers: usize,
    /// Certificates of all rounds.
    pub(crate) certificates: u64,
    /// Certificates per second: the lowest, the median and the highest round.
    pub(crate) rates: [f64; 3],
    /// Server processor time per certificate, by process.
    pub(crate) cpu_ms_by_process: BTreeMap<String, f64>,
    /// Processor time of this program per certificate.
    pub(crate) client_cpu_ms: f64,
    /// Polls per certificate.
    pub(crate) polls: f64,
    /// Requests repeated with another nonce.
    pub(crate) bad_nonces: u64,
    /// The most memory of any round.
    pub(crate) peak_bytes: u64,
    /// How long each step took, over all rounds.
    pub(crate) latencies: BTreeMap<Step, Latency>,
    /// Failed issuances.
    pub(crate) failures: usize,
}

impl Comparison {
    /// Puts together what belongs together.
    pub(crate) fn of_rounds(
        rounds: &[Round],
        samples: &BTreeMap<(Kind, usize), Samples>,
    ) -> Vec<Self> {
        let of = |(key, samples): (&(Kind, usize), &Samples)| {
            let rounds = rounds.iter().filter(|it| (it.server, it.workers) == *key);
            Self::of(*key, &rounds.collect::<Vec<_>>(), samples)
        };
        let mut all: Vec<_> = samples.iter().map(of).collect();
        all.sort_by_key(|it| (it.workers, it.server));
        all
    }

    fn of((server, workers): (Kind, usize), rounds: &[&Round], samples: &Samples) -> Self {
        let certificates = rounds.iter().map(|it| it.certificates).sum();
        let each = |total: f64| ratio(total, count(certificates));
        let mut cpu_ms_by_process = BTreeMap::new();
        for (name, cpu) in rounds.iter().flat_map(|it| &it.server_cpu) {
            *cpu_ms_by_process.entry(name.clone()).or_default() += each(milliseconds(*cpu));
        }
        let mut counters = Counters::default();
        rounds.iter().for_each(|it| counters.absorb(it.counters));
        let mut rates: Vec<_> = rounds.iter().map(|it| it.rate()).collect();
        rates.sort_by(f64::total_cmp);
        let rate = |index: usize| rates.get(index).copied().unwrap_or_default();
        Self {
            server,
            workers,
            certificates,
            rates: [rate(0), rate(rates.len() / 2), rate(rates.len().saturating_sub(1))],
            cpu_ms_by_process,
            client_cpu_ms: each(milliseconds(rounds.iter().map(|it| it.client_cpu).sum())),
            polls: each(count(counters.polls)),
            bad_nonces: counters.bad_nonces,
            peak_bytes: rounds.iter().map(|it| it.peak_bytes).max().unwrap_or_default(),
            latencies: samples.latencies(),
            failures: rounds.iter().map(|it| it.failures.len()).sum(),
        }
    }

    /// What a certificate costs, in the median round where it is about time.
    pub(crate) fn cost(&self) -> Cost {
        let [_, median, _] = self.rates;
        Cost { rate: median, cpu_ms: self.cpu_ms_by_process.values().sum() }
    }
}

/// What a certificate costs a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Certificates per second.
    pub(crate) rate: f64,
    /// Processor time of all the server's processes per certificate.
    pub(crate) cpu_ms: f64,
}

impl Report {
    /// Nothing measured yet.
    pub(crate) fn new(machine: Machine, options: &Options) -> Self {
        Self {
            machine,
            plan: options.plan(),
            versions: BTreeMap::new(),
            skipped: Vec::new(),
            hangs: BTreeMap::new(),
            rounds: Vec::new(),
            comparisons: Vec::new(),
            fillings: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// The servers that can be measured here; the others are noted and said to be skipped.
    pub(crate) async fn keep_installed(&mut self, kinds: &[Kind], options: &Options) -> Vec<Kind> {
        let mut installed = Vec::new();
        for kind in kinds {
            match kind.version(options).await {
                Ok(version) => {
                    self.versions.insert(*kind, version);
                    installed.push(*kind);
                }
                Err(missing) => {
                    let line = format!("{}: {missing}", kind.label());
                    progress(&format!("SKIPPED {line}"));
                    if !self.skipped.contains(&line) {
                        self.skipped.push(line);
                    }
                }
            }
        }
        installed
    }

    /// Compares the figures with what is to be reached.
    pub(crate) fn judge(&mut self) {
        self.verdicts = crate::targets::verdicts(&self.comparisons, &self.fillings);
    }

    /// How many issuances failed.
    pub(crate) fn failures(&self) -> usize {
        let rounds = self.rounds.iter().map(|it| it.failures.len());
        let fillings = self.fillings.iter().map(|it| it.failures.len());
        rounds.chain(fillings).sum()
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A count as the real number it is in every run that ends.
fn count(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// A quotient, nothing of nothing being nothing.
fn ratio(dividend: f64, divisor: f64) -> f64 {
    if divisor > 0.0 { dividend / divisor } else { 0.0 }
}
