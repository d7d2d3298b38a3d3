//! Redis, mostly without persistence: what it forgets is what a failover forgets.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::{Process, eventually, free_port, ports::loopback, tool};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running server; dropping it kills it.
pub struct RedisServer {
    port: u16,
    password: Option<&'static str>,
    appends: &'static str,
    process: Option<Process>,
    files: TempDir,
}

impl RedisServer {
    /// Starts an empty server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(None, "no").await
    }

    /// Starts an empty server that wants a password.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start_behind(password: &'static str) -> anyhow::Result<Self> {
        Self::start_with(Some(password), "no").await
    }

    /// Starts an empty server that has what it knew after a restart.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start_persistent() -> anyhow::Result<Self> {
        Self::start_with(None, "yes").await
    }

    async fn start_with(
        password: Option<&'static str>,
        appends: &'static str,
    ) -> anyhow::Result<Self> {
        let (port, files) = (free_port()?, TempDir::new()?);
        let mut server = Self { port, password, appends, process: None, files };
        server.restart().await?;
        Ok(server)
    }

    /// The URL that clients connect to.
    pub fn url(&self) -> String {
        let password = self.password.map_or(String::new(), |password| format!(":{password}@"));
        format!("redis://{password}{}/0", loopback(self.port))
    }

    /// Kills the server, and with it all that it did not keep on disk.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the server does not run")?.kill().await
    }

    /// Asks the server to end.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the server does not run")?;
        process.terminate(STOP_LIMIT).await.map(drop)
    }

    /// Starts the server after it ended.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(tool("redis-server")?);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]).args([
            "--save",
            "",
            "--appendonly",
            self.appends,
            "--maxmemory-policy",
            "noeviction",
        ]);
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        let mut process = Process::start("redis-server", command, self.files.path())?;
        let answered = eventually("redis-server answers", START_LIMIT, async || {
            process.check_running()?;
            Ok(self.command("PING").await.ok())
        });
        answered.await?;
        self.process = Some(process);
        Ok(())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// When the server does not do so.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.command("FLUSHALL").await.map(drop)
    }

    /// Copies what it holds under a key to another, whatever is there.
    ///
    /// # Errors
    /// When it holds nothing there.
    pub async fn copy(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let reply = self.command(&format!("COPY {from} {to} REPLACE")).await?;
        ensure!(reply.starts_with(":1"), "redis holds nothing under {from}");
        Ok(())
    }

    /// Makes what it holds under a key so many bytes long, by zeros at its end.
    ///
    /// # Errors
    /// When it holds more there, or no text.
    pub async fn lengthen(&self, key: &str, bytes: usize) -> anyhow::Result<()> {
        let last = bytes.saturating_sub(1);
        let reply = self.command(&format!("SETRANGE {key} {last} \"\\x00\"")).await?;
        ensure!(reply.trim_end() == format!(":{bytes}"), "redis answers {reply:?}");
        Ok(())
    }

    /// Sends one command whose reply is one line.
    async fn command(&self, command: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(loopback(self.port)).await?;
        let mut reply = [0; 64];
        if let Some(password) = self.password {
            stream.write_all(format!("AUTH {password}\r\n").as_bytes()).await?;
            let length = stream.read(&mut reply).await?;
            ensure!(reply[..length].starts_with(b"+OK"), "redis refuses its password");
        }
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let length = stream.read(&mut reply).await?;
        let reply = String::from_utf8_lossy(reply.get(..length).unwrap_or_default()).into_owned();
        ensure!(
            !reply.is_empty() && !reply.starts_with('-'),
            "redis answers {reply:?} to {command}"
        );
        Ok(reply)
    }
}
