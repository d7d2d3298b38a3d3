//! What a server is started with, and the command line that comes of it.

use std::{fmt::Display, path::PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::Certmill;
use crate::{
    free_port,
    ports::loopback,
    tls::ServerCertificate,
    tools::{self, workspace},
};

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    roles: Vec<&'static str>,
    settings: Vec<(String, String)>,
    environment: Vec<(&'static str, String)>,
    configuration: Option<PathBuf>,
    disk: Option<(&'static str, u64)>,
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
    /// Sets one key of the configuration, for the next start.
    pub fn configure(&mut self, key: &str, value: impl Display) {
        let setup = std::mem::take(&mut self.setup);
        self.setup = setup.set(key, value);
    }

    /// Lets the next start use the disk that everything is on.
    pub fn without_own_disk(&mut self) {
        self.setup.disk = None;
    }

    /// Lets the server present a certificate that it did not make.
    pub(crate) fn use_certificate(&mut self, certificate: &ServerCertificate) {
        let setup = std::mem::take(&mut self.setup);
        self.setup = setup
            .set("api.tls_certificate", certificate.chain.display())
            .set("api.tls_key", certificate.key.display());
    }

    pub(super) fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
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
}
