//! Processes that a test starts.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::tools;

/// How much of a log is printed.
const LOG_TAIL_BYTES: usize = 24 * 1024;
/// A program that was to end by itself is stuck after this.
const RUN_TIMEOUT: Duration = Duration::from_secs(150);

/// `/proc` counts in hundredths of a second on every Linux (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A running process; dropping it kills it and prints the end of its log.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What a program that ended by itself has printed.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a program whose output goes to a file in `directory`, which is also its home and where it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command, directory: &Path) -> anyhow::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        isolate(&mut command, directory)?;
        let child = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Passes while the process runs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}", self.name),
        }
    }

    /// The process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The processor time that the process has used, in its threads together.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let id = self.child.id().with_context(|| format!("{} has ended already", self.name))?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The name in parentheses may hold anything; user and system time are the 14th and 15th field.
        let (_, fields) = stat.rsplit_once(')').context("no stat of a process")?;
        let times = fields.split_ascii_whitespace().skip(11).take(2);
        let ticks = times.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        Ok(TICK * ticks)
    }

    /// The memory that the process occupies, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let id = self.child.id().with_context(|| format!("{} has ended already", self.name))?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        Ok(kib.context("the system tells no VmRSS")?.parse()?)
    }

    /// Asks the process to end and returns how long it took.
    ///
    /// # Errors
    /// When it is still there after `limit`, or ended with a failure.
    pub async fn terminate(&mut self, limit: Duration) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.signal("TERM").await?;
        let ended = timeout(limit, self.child.wait()).await;
        let status =
            ended.with_context(|| format!("{} has not ended in {limit:?}", self.name))??;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(start.elapsed())
    }

    /// Stops the process where it is: it answers nobody, and its connections stay open.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP").await
    }

    async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().with_context(|| format!("{} has ended already", self.name))?;
        // The shell's own kill, which is there without any package.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
        ensure!(sent.await?.success(), "{} could not be sent SIG{name}", self.name);
        Ok(())
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// When it is still there after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let ended = timeout(limit, self.child.wait()).await;
        Ok(ended.with_context(|| format!("{} has not ended in {limit:?}", self.name))??)
    }

    /// Ends the process without asking, as a power cut would.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The end of what the process has printed.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "the test runner shows it when the test failed")]
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.start_kill();
        eprintln!("--- {}\n{}", self.name, self.log_tail());
    }
}

/// Runs a program to its end in `directory`, which is also its home.
///
/// # Errors
/// When it cannot be started or is stuck; how it ended is for the caller to judge.
pub async fn run(mut command: Command, directory: &Path) -> anyhow::Result<Output> {
    isolate(&mut command, directory)?;
    let name = format!("{:?}", command.as_std().get_program());
    let output =
        timeout(RUN_TIMEOUT, command.stdout(Stdio::piped()).stderr(Stdio::piped()).output())
            .await
            .with_context(|| format!("{name} has not ended in {RUN_TIMEOUT:?}"))?
            .with_context(|| format!("cannot start {name}"))?;
    Ok(Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl Output {
    /// Returns the standard output of a program that succeeded.
    ///
    /// # Errors
    /// When it failed, with all that it printed.
    pub fn success(self) -> anyhow::Result<String> {
        ensure!(self.status.success(), "{}\n{}\n{}", self.status, self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

/// Lets the program see nothing of this machine's settings but the PATH, and end with the test.
/// Starts a program whose output is read from a pipe; dropping it kills it.
pub(crate) fn piped(mut command: Command, directory: &Path) -> anyhow::Result<Child> {
    isolate(&mut command, directory)?;
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

fn isolate(command: &mut Command, directory: &Path) -> anyhow::Result<()> {
    let set: Vec<_> = command
        .as_std()
        .get_envs()
        .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
        .collect();
    command
        .env_clear()
        .env("PATH", tools::search_path()?)
        .env("HOME", directory)
        .env("LANG", "C.UTF-8")
        .envs(set)
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(())
}
