//! What a server shows of itself: its events, its metrics and its log.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::process::Child;

use super::Certmill;
use crate::{ports::loopback, process::piped, raw_client};

impl Certmill {
    /// All events of the log, as the operator sees them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events(&self) -> anyhow::Result<Vec<Value>> {
        self.listed(&["events", "--json"]).await
    }

    /// The same from a time on.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn events_since(&self, time: &str) -> anyhow::Result<Vec<Value>> {
        self.listed(&["events", "--json", "--since", time]).await
    }

    async fn listed(&self, command: &[&str]) -> anyhow::Result<Vec<Value>> {
        let printed = self.operate(command).await?.success()?;
        let events: Result<Vec<Value>, _> = printed.lines().map(serde_json::from_str).collect();
        events.with_context(|| format!("certmill events printed no JSON lines:\n{printed}"))
    }

    /// Whether the events from the time of each event on are those that are listed, without the ones before.
    ///
    /// # Errors
    /// When they are not, and when the command fails.
    pub async fn lists_events_from_each_time_on(&self) -> anyhow::Result<()> {
        let all = self.events().await?;
        for from in all.iter().step_by(5) {
            let since = self.events_since(from["at"].as_str().unwrap_or_default()).await?;
            let mut expected = Vec::new();
            for event in &all {
                if time(event)? >= time(from)? {
                    expected.push(event.clone());
                }
            }
            ensure!(since == expected, "from {from} on, {since:?} instead of {expected:?}");
        }
        Ok(())
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

fn time(event: &Value) -> anyhow::Result<OffsetDateTime> {
    let text = event["at"].as_str().context("an event has a time")?;
    Ok(OffsetDateTime::parse(text, &Rfc3339)?)
}
