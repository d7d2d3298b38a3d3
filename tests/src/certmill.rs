//! The server under test, as a process started the way an operator starts it.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    Output, Process, eventually, free_port,
    ports::loopback,
    raw_client, run,
    tls::ServerCertificate,
    tools::{self, workspace},
};

/// How long a start may take at most; a debug build among other tests is slower than the 5 s promised for a release.
const START_LIMIT: Duration = Duration::from_secs(40);
/// How long a stop may take after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    roles: Vec<&'static str>,
    settings: Vec<(String, String)>,
    environment: Vec<(&'static str, String)>,
    configuration: Option<PathBuf>,
    disk: Option<(&'static str, u64)>,
}

/// A server with its directory; dropping it kills it.
pub struct Certmill {
    name: String,
    setup: Setup,
    process: Option<Process>,
    port: u16,
    ops_port: u16,
    files: TempDir,
}

impl Setup {
    /// Every role in one process on the embedded log.
    pub fn embedded() -> Self {
        Self::default()
    }

    /// Plays one more role, where not all are played.
    #[must_use]
    pub fn role(mut self, role: &'static str) -> Self {
        self.roles.push(role);
        self
    }

    /// Sets one key of the configuration; the last value counts.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Display) -> Self {
        self.settings.push((key.to_owned(), value.to_string()));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &'static str, value: impl Display) -> Self {
        self.environment.push((name, value.to_string()));
        self
    }

    /// Starts from another configuration file than config/dev.toml.
    #[must_use]
    pub fn configuration(mut self, file: PathBuf) -> Self {
        self.configuration = Some(file);
        self
    }

    /// Gives the server a disk of its own for a part of its directory, or for all of it (`""`), in a namespace of its
    /// own: what is on it ends with the server, and is seen through [`Certmill::inside`] only.
    #[must_use]
    pub fn disk_of(mut self, part: &'static str, bytes: u64) -> Self {
        self.disk = Some((part, bytes));
        self
    }

    /// Starts the server in a directory of its own and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(self) -> anyhow::Result<Certmill> {
        self.start_as("certmill").await
    }

    /// Starts the server under a name that tells its log from those of others.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_as(self, name: &str) -> anyhow::Result<Certmill> {
        let mut server = self.prepare(name)?;
        server.start().await?;
        Ok(server)
    }

    /// Makes the directory and chooses the ports, but starts nothing.
    ///
    /// # Errors
    /// When there is no directory or port.
    pub fn prepare(self, name: &str) -> anyhow::Result<Certmill> {
        Ok(Certmill {
            name: name.to_owned(),
            setup: self,
            process: None,
            port: free_port()?,
            ops_port: free_port()?,
            files: TempDir::new()?,
        })
    }
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

    /// All events of the log, as the operator sees them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events(&self) -> anyhow::Result<Vec<Value>> {
        let printed = self.operate(&["events", "--json"]).await?.success()?;
        let events: Result<Vec<Value>, _> = printed.lines().map(serde_json::from_str).collect();
        events.with_context(|| format!("certmill events printed no JSON lines:\n{printed}"))
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

    /// Sets one key of the configuration, for the next start.
    pub fn configure(&mut self, key: &str, value: impl Display) {
        let setup = std::mem::take(&mut self.setup);
        self.setup = setup.set(key, value);
    }

    /// Lets the next start use the disk that everything is on.
    pub fn without_own_disk(&mut self) {
        self.setup.disk = None;
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

    /// Lets the server present a certificate that it did not make.
    pub(crate) fn use_certificate(&mut self, certificate: &ServerCertificate) {
        let setup = std::mem::take(&mut self.setup);
        self.setup = setup
            .set("api.tls_certificate", certificate.chain.display())
            .set("api.tls_key", certificate.key.display());
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let (configuration, settings) = self.settings();
        let mut command = self.program()?;
        command.args(arguments).arg("--config").arg(configuration);
        command.envs(self.variables());
        if arguments.first() == Some(&"serve") {
            for role in &self.setup.roles {
                command.args(["--role", role]);
            }
        }
        for (key, value) in settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        Ok(command)
    }

    /// The configuration file, and what is set over it.
    pub(crate) fn settings(&self) -> (PathBuf, Vec<(String, String)>) {
        let configuration = match &self.setup.configuration {
            Some(file) => file.clone(),
            None => workspace().join("config/dev.toml"),
        };
        let mut settings = vec![
            ("data_dir".to_owned(), self.data_dir().display().to_string()),
            ("api.listen".to_owned(), loopback(self.port).to_string()),
            ("api.base_url".to_owned(), format!("https://localhost:{}", self.port)),
            ("ops.listen".to_owned(), loopback(self.ops_port).to_string()),
        ];
        settings.extend(self.setup.settings.iter().cloned());
        (configuration, settings)
    }

    /// The variables of its environment.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.setup.environment.iter().map(|(name, value)| (*name, value.as_str()))
    }

    fn program(&self) -> anyhow::Result<Command> {
        let program = tools::server_under_test()?;
        let Some((part, bytes)) = self.setup.disk else { return Ok(Command::new(program)) };
        // Each program takes the place of the one before, so that the process id is the server's.
        let mount =
            r#"mkdir -p "$1" && mount -t tmpfs -o size="$2" none "$1" && shift 2 && exec "$@""#;
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", mount, "sh"]);
        command.arg(self.data_dir().join(part)).arg(bytes.to_string()).arg(program);
        Ok(command)
    }

    /// All that the server has logged since it was first started.
    ///
    /// # Errors
    /// When it was never started.
    pub fn log(&self) -> anyhow::Result<String> {
        let log = std::fs::read(self.files.path().join(format!("{}.log", self.name)))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// The directory that holds the server's own and its logs.
    pub fn files(&self) -> &Path {
        self.files.path()
    }
}
