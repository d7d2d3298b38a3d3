//! A PKCS#11 token without hardware: SoftHSM, and before it a server that can go away as an HSM in a network can.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Output, Process, Setup, eventually, run, tool};

const LABEL: &str = "certmill";
const PIN: &str = "314159";
/// The PIN of the security officer, who made the token.
const OFFICER_PIN: &str = "271828";
const START_LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

/// A token in a directory of its own.
pub struct Token {
    files: TempDir,
}

/// A server that gives the token to others; dropping it ends it.
pub struct TokenServer<'a> {
    token: &'a Token,
    process: Option<Process>,
}

impl Token {
    /// Makes a token.
    ///
    /// # Errors
    /// When SoftHSM cannot.
    pub async fn make() -> anyhow::Result<Self> {
        let token = Self { files: TempDir::new()? };
        let tokens = token.files.path().join("tokens");
        std::fs::create_dir(&tokens)?;
        let configuration =
            format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        std::fs::write(token.configuration(), configuration)?;
        std::fs::write(token.pin_file(), format!("{PIN}\n"))?;
        let mut command = Command::new(tool("softhsm2-util")?);
        command.args(["--init-token", "--free", "--label", LABEL]);
        command.args(["--pin", PIN, "--so-pin", OFFICER_PIN]);
        token.run(command).await?.success()?;
        Ok(token)
    }

    /// Has a server keep its intermediate's key in the token.
    ///
    /// # Errors
    /// When SoftHSM's module is not installed.
    pub fn in_setup(&self, setup: Setup) -> anyhow::Result<Setup> {
        let setup = setup.environment("SOFTHSM2_CONF", self.configuration().display());
        Ok(self.with_module(setup, &softhsm()?))
    }

    /// Makes a key with another program than ours.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_key(&self, kind: &str, label: &str) -> anyhow::Result<()> {
        let made = ["--keypairgen", "--key-type", kind, "--label", label, "--usage-sign"];
        self.pkcs11_tool(&made).await.map(drop)
    }

    /// Puts another key in the place of the one with that label.
    ///
    /// # Errors
    /// When there is none, or none can be made.
    pub async fn replace_key(&self, kind: &str, label: &str) -> anyhow::Result<()> {
        for half in ["privkey", "pubkey"] {
            self.pkcs11_tool(&["--delete-object", "--type", half, "--label", label]).await?;
        }
        self.make_key(kind, label).await
    }

    /// Puts the private half of another key beside the public half with that label.
    ///
    /// # Errors
    /// When there is no such key, or the token takes none.
    pub async fn replace_private_half(&self, label: &str) -> anyhow::Result<()> {
        let other = rcgen::KeyPair::generate()?.serialize_der();
        let file = self.files.path().join("other.der");
        std::fs::write(&file, other)?;
        self.pkcs11_tool(&["--delete-object", "--type", "privkey", "--label", label]).await?;
        let file = file.display().to_string();
        let write = ["--write-object", &file, "--type", "privkey", "--label", label];
        self.pkcs11_tool(&[write.as_slice(), &["--usage-sign"]].concat()).await.map(drop)
    }

    /// Gives the token another PIN; the file keeps the old one.
    ///
    /// # Errors
    /// When the token refuses.
    pub async fn change_pin(&self, pin: &str) -> anyhow::Result<()> {
        self.pkcs11_tool(&["--change-pin", "--new-pin", pin]).await.map(drop)
    }

    /// What another program says of the objects in the token.
    ///
    /// # Errors
    /// When it cannot log in.
    pub async fn objects(&self) -> anyhow::Result<String> {
        self.pkcs11_tool(&["--list-objects"]).await
    }

    /// The file with the PIN.
    pub fn pin_file(&self) -> PathBuf {
        self.files.path().join("pin")
    }

    /// What must be seen nowhere.
    pub fn pin(&self) -> &'static str {
        PIN
    }

    /// Gives the token to others through a socket.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn serve(&self) -> anyhow::Result<TokenServer<'_>> {
        let mut server = TokenServer { token: self, process: None };
        server.come_back().await?;
        Ok(server)
    }

    fn with_module(&self, setup: Setup, module: &Path) -> Setup {
        setup
            .set("ca.key_source", "pkcs11")
            .set("ca.pkcs11.module", module.display())
            .set("ca.pkcs11.token", LABEL)
            .set("ca.pkcs11.pin_file", self.pin_file().display())
    }

    async fn pkcs11_tool(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(tool("pkcs11-tool")?);
        command.arg("--module").arg(softhsm()?);
        command.args(["--token-label", LABEL, "--login", "--pin", PIN]).args(arguments);
        self.run(command).await?.success()
    }

    async fn run(&self, mut command: Command) -> anyhow::Result<Output> {
        command.env("SOFTHSM2_CONF", self.configuration());
        run(command, self.files.path()).await
    }

    fn configuration(&self) -> PathBuf {
        self.files.path().join("softhsm2.conf")
    }

    fn socket(&self) -> PathBuf {
        self.files.path().join("socket")
    }
}

impl TokenServer<'_> {
    /// Has a server reach the token through the socket.
    ///
    /// # Errors
    /// When p11-kit's module is not installed.
    pub fn in_setup(&self, setup: Setup) -> anyhow::Result<Setup> {
        let address = format!("unix:path={}", self.token.socket().display());
        let setup = setup.environment("P11_KIT_SERVER_ADDRESS", address);
        Ok(self.token.with_module(setup, &module("pkcs11", "p11-kit-client.so")?))
    }

    /// Ends the server, with whatever it was about to do.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn go_away(&mut self) -> anyhow::Result<()> {
        self.signal("KILL").await?;
        self.process.take().context("the token's server does not run")?.kill().await?;
        Ok(std::fs::remove_file(self.token.socket())?)
    }

    /// Starts the server after it went away.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn come_back(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(tool("p11-kit")?);
        command.args(["server", "--foreground", "--name"]).arg(self.token.socket());
        command.arg("--provider").arg(softhsm()?).arg(format!("pkcs11:token={LABEL}"));
        command.env("SOFTHSM2_CONF", self.token.configuration());
        // It answers each client in a process of its own; all of them are in its group.
        command.process_group(0);
        self.process = Some(Process::start("p11-kit", command, self.token.files.path())?);
        eventually("the token's server listens", START_LIMIT, async || {
            Ok(self.token.socket().exists().then_some(()))
        })
        .await
    }

    /// Lets the server answer no more, but leaves its clients their connections.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn freeze(&self) -> anyhow::Result<()> {
        self.signal("STOP").await
    }

    /// Lets the server go on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn thaw(&self) -> anyhow::Result<()> {
        self.signal("CONT").await
    }

    async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let process = self.process.as_ref().context("the token's server does not run")?;
        let id = process.id().context("the token's server has ended")?;
        let group = format!("-{id}");
        let sent = Command::new("kill").args(["-s", signal, "--", &group]).status().await?;
        ensure!(sent.success(), "the token's server could not be sent {signal}");
        Ok(())
    }
}

impl Drop for TokenServer<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.process.as_ref().and_then(Process::id) {
            // The processes that answer clients would go on; frozen ones end as well.
            let group = format!("-{id}");
            let _ = std::process::Command::new("kill").args(["-s", "KILL", "--", &group]).status();
        }
    }
}

fn softhsm() -> anyhow::Result<PathBuf> {
    module("softhsm", "libsofthsm2.so")
}

/// Finds a PKCS#11 module where distributions put it.
fn module(folder: &str, name: &str) -> anyhow::Result<PathBuf> {
    let mut libraries = vec![PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")];
    for entry in std::fs::read_dir("/usr/lib")? {
        libraries.push(entry?.path());
    }
    libraries
        .iter()
        .map(|library| library.join(folder).join(name))
        .find(|module| module.is_file())
        .with_context(|| format!("{name} is not installed; scripts/test-tools installs it"))
}
