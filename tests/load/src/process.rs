//! A server's process, and what it and its children have used.

mod usage;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tokio::process::{Child, Command};

pub(crate) use self::usage::Usage;

/// How much of a log is shown when its process has ended.
const LOG_TAIL_BYTES: usize = 4096;

/// A running process; dropping it kills it.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the program with its output in a file of `directory`.
    ///
    /// It sees nothing of the environment but the PATH, so that settings of this machine do not change the result.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let set: Vec<_> = command
            .as_std()
            .get_envs()
            .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
            .collect();
        let child = command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", directory)
            .envs(set)
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// The name it was started under.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Passes while the process runs.
    ///
    /// # Errors
    /// When it has ended, with the end of its log.
    pub(crate) fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(anyhow::anyhow!("{} ended with {status}:\n{}", self.name, self.log_tail()))
            }
        }
    }

    /// What the process and its children use and have used.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn usage(&mut self) -> anyhow::Result<Usage> {
        self.check_running()?;
        let pid = self.child.id().with_context(|| format!("{} has ended", self.name))?;
        Usage::of_tree(pid)
            .with_context(|| format!("{} has ended:\n{}", self.name, self.log_tail()))
    }

    /// Kills the process and waits for its end.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The end of the log, as far as it can be read.
    pub(crate) fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }
}
