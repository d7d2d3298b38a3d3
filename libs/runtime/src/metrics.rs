//! Prometheus metrics of the process and of what it does.

mod feed;
pub mod names;
mod process;

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use self::feed::{delivered, log_end};
use crate::Stop;

/// The upper bounds of every histogram of seconds: from one database commit to an order that waits for its client.
const SECONDS_BUCKETS: [f64; 17] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    120.0, 600.0,
];
/// How often samples of histograms are condensed, so that they do not pile up where nobody asks for them.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The recorder the whole process shares once one is installed.
static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

/// The metrics of the process; clones share them.
#[derive(Clone)]
pub struct Metrics {
    recorder: PrometheusHandle,
    started_at: Duration,
}

/// The metrics cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Something else in the process records metrics already.
    #[error("cannot install the metrics recorder")]
    Recorder(#[source] metrics_exporter_prometheus::BuildError),
}

impl Metrics {
    /// Starts to record the metrics of the process, or answers those already recorded.
    ///
    /// # Errors
    /// When another recorder was installed, which is a fault of the program.
    pub fn install() -> Result<Self, MetricsError> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = installed.as_ref() {
            return Ok(metrics.clone());
        }
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(MetricsError::Recorder)?;
        names::describe();
        ::metrics::gauge!(names::BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(installed.insert(Self { recorder, started_at }).clone())
    }

    /// All metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ::metrics::gauge!(names::CLOCK).set(clock.as_secs_f64());
        let mut text = self.recorder.render();
        text.push_str(&process::render(self.started_at));
        text
    }

    /// Condenses samples until the process stops.
    pub(crate) async fn keep(&self, stop: &Stop) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            tokio::select! {
                () = stop.requested() => return,
                _ = ticks.tick() => self.recorder.run_upkeep(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_and_measured_is_rendered_with_its_help() {
        let rendered = Metrics::install().unwrap();
        ::metrics::counter!(names::ORDERS_PLACED, "profile" => "default").increment(2);
        ::metrics::histogram!(names::APPEND_SECONDS).record(0.002);
        let text = Metrics::install().unwrap().render();
        assert!(text.contains("# HELP certmill_orders_placed_total"), "{text}");
        assert!(text.contains("certmill_orders_placed_total{profile=\"default\"} 2"), "{text}");
        assert!(text.contains("certmill_append_seconds_bucket{le=\"0.0025\"} 1"), "{text}");
        assert!(text.contains("certmill_append_seconds_bucket{le=\"0.001\"} 0"), "{text}");
        assert_eq!(rendered.started_at, Metrics::install().unwrap().started_at);
    }

    #[test]
    fn the_clock_is_shown_as_it_is_when_it_is_asked_for() {
        let metrics = Metrics::install().unwrap();
        let shown = || {
            let text = metrics.render();
            let found =
                text.lines().find_map(|it| it.strip_prefix("certmill_clock_timestamp_seconds "));
            found.unwrap().parse::<f64>().unwrap()
        };
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let (first, second) = (shown(), shown());
        assert!(
            before <= first && first < second && second < before + 60.0,
            "{before} {first} {second}"
        );
    }

    #[test]
    fn the_process_itself_is_measured() {
        let text = Metrics::install().unwrap().render();
        for name in [
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_start_time_seconds",
        ] {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            let value: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(value >= 0.0 && text.contains(&format!("# TYPE {name} ")), "{line}");
        }
    }
}
