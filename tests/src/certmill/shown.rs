//! What a server shows of itself: its events, its metrics and its log.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Child;

use super::Certmill;
use crate::{ports::loopback, process::piped, raw_client};

impl Certmill {
    /// All events of the log, as the operator sees them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events(&self) -> anyhow::Result<Vec<Value>> {
        let printed = self.operate(&["events", "--json"]).await?.success()?;
        let events: Result<Vec<Value>, _> = printed.lines().map(serde_json::from_str).collect();
        events.with_context(|| format!("certmill events printed no JSON lines:\n{printed}"))
    }

    /// Follows the events as the operator does; they are read from the pipe of its standard output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn follow_events(&self) -> anyhow::Result<Child> {
        piped(self.command(&["events", "--follow"])?, self.files())
    }

    /// A number that the server measures, summed over its labels; zero before it was first measured.
    ///
    /// # Errors
    /// When the metrics cannot be read.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        self.metric_where(name, "").await
    }

    /// The same, summed over those labels that contain a text.
    ///
    /// # Errors
    /// When the metrics cannot be read.
    pub async fn metric_where(&self, name: &str, label: &str) -> anyhow::Result<f64> {
        Ok(self
            .metrics()
            .await?
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
            .filter(|line| line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// All that the server measures, as Prometheus reads it.
    ///
    /// # Errors
    /// When the metrics cannot be read.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let url = format!("http://{}/metrics", loopback(self.ops_port));
        let answer = raw_client::http()?.get(url).send().await?;
        ensure!(answer.status().is_success(), "the metrics answer {}", answer.status());
        Ok(answer.text().await?)
    }

    /// How the operations listener answers a path.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ops(&self, path: &str) -> anyhow::Result<reqwest::StatusCode> {
        let url = format!("http://{}{path}", loopback(self.ops_port));
        Ok(raw_client::http()?.get(url).send().await?.status())
    }

    /// All that the server has logged since it was first started.
    ///
    /// # Errors
    /// When it was never started.
    pub fn log(&self) -> anyhow::Result<String> {
        let log = std::fs::read(self.files.path().join(format!("{}.log", self.name)))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }
}
