//! The server under test, as a process started the way an operator starts it.

mod setup;
mod shown;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tempfile::TempDir;

pub use self::setup::Setup;
use crate::{Output, Process, eventually, ports::loopback, raw_client, run};

/// How long a start may take at most; a debug build among other tests is slower than the 5 s promised for a release.
const START_LIMIT: Duration = Duration::from_secs(40);
/// How long a stop may take after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A server with its directory; dropping it kills it.
pub struct Certmill {
    name: String,
    setup: Setup,
    process: Option<Process>,
    port: u16,
    ops_port: u16,
    files: TempDir,
}

impl Certmill {
    /// Starts the server on its directory, again after it ended, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let mut process = self.spawn()?;
        let ready = format!("http://{}/readyz", loopback(self.ops_port));
        let client = raw_client::http()?;
        let wait = eventually("the server is ready", START_LIMIT, async || {
            process.check_running()?;
            let answer = client.get(&ready).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        });
        let waited = wait.await;
        self.process = Some(process);
        waited
    }

    /// Starts the server and waits until it ends, for starts that must be refused.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn start_in_vain(&self) -> anyhow::Result<Output> {
        run(self.command(&["serve"])?, self.files.path()).await
    }

    /// Starts the server, and does not wait until it is ready.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        self.process = Some(self.spawn()?);
        Ok(())
    }

    fn spawn(&self) -> anyhow::Result<Process> {
        Process::start(&self.name, self.command(&["serve"])?, self.files.path())
    }

    /// Asks the server to stop, which must take 10 s at most, and returns how long it took.
    ///
    /// # Errors
    /// When it does not stop in time, or with a failure.
    pub async fn stop(&mut self) -> anyhow::Result<Duration> {
        let mut process = self.process.take().context("the server does not run")?;
        process.terminate(STOP_LIMIT).await
    }

    /// Ends the server as a power cut would.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the server does not run")?;
        process.kill().await
    }

    /// The running server's process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the server does not run")
    }

    /// Where clients reach the server itself, whatever its base URL says.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its default directory.
    pub fn directory_url(&self) -> String {
        format!("https://localhost:{}/acme/directory", self.port)
    }

    /// The URL of a profile's directory.
    pub fn profile_url(&self, profile: &str) -> String {
        format!("https://localhost:{}/acme/{profile}/directory", self.port)
    }

    /// The root that clients trust, and that its certificates lead to.
    pub fn root(&self) -> PathBuf {
        self.data_dir().join("ca/root.pem")
    }

    /// Where it keeps everything.
    pub fn data_dir(&self) -> PathBuf {
        self.files.path().join("data")
    }

    /// The server's directory as the running server sees it, which has a disk of its own.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn inside(&mut self) -> anyhow::Result<PathBuf> {
        let id = self.process()?.id().context("the server has ended")?;
        Ok(PathBuf::from(format!("/proc/{id}/root{}", self.data_dir().display())))
    }

    /// Runs an operator's command with the server's configuration.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn operate(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(self.command(arguments)?, self.files.path()).await
    }

    /// Waits until the server ended by itself, and returns the end of its log.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&mut self) -> anyhow::Result<String> {
        let mut process = self.process.take().context("the server does not run")?;
        process.ended(START_LIMIT).await?;
        Ok(process.log_tail())
    }

    /// The directory that holds the server's own and its logs.
    pub fn files(&self) -> &Path {
        self.files.path()
    }
}
