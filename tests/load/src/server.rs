//! The servers that are compared: how each is started, reached, measured and stopped.

mod caddy;
mod certmill;
mod nats;
mod pebble;
mod redis;
mod tools;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::ValueEnum;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use tempfile::TempDir;

pub(crate) use self::tools::Missing;
use crate::{
    applicant::{Client, Fence, Origin},
    options::Options,
    process::{Process, Usage},
};

/// A server that is not ready by then is broken.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is asked whether it is ready.
const START_INTERVAL: Duration = Duration::from_millis(50);

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// certmill with the embedded log.
    Certmill,
    /// certmill on one NATS server, default sync, and Redis.
    CertmillCluster,
    /// certmill on one NATS server that syncs before it acknowledges, and Redis.
    CertmillAlways,
    /// certmill on three NATS servers that sync before they acknowledge, and Redis.
    CertmillReplicas,
    /// Pebble with P-256 keys, as the others have.
    Pebble,
    /// Pebble with the keys it makes when its configuration names none: RSA of 2048 bits.
    PebbleRsa,
    /// Caddy's acme_server.
    Caddy,
}

impl Kind {
    /// What the tables call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Certmill => "certmill, embedded",
            Self::CertmillCluster => "certmill, NATS + Redis",
            Self::CertmillAlways => "certmill, NATS sync always + Redis",
            Self::CertmillReplicas => "certmill, 3 × NATS sync always + Redis",
            Self::Pebble => "Pebble",
            Self::PebbleRsa => "Pebble, RSA keys",
            Self::Caddy => "Caddy acme_server",
        }
    }

    /// What an acknowledged certificate survives.
    pub(crate) fn durability(self) -> &'static str {
        match self {
            Self::Certmill => "each commit synced",
            Self::CertmillCluster => "synced within 2 minutes",
            Self::CertmillAlways => "each message synced",
            Self::CertmillReplicas => "each message synced by two of three",
            Self::Pebble | Self::PebbleRsa => "none, in memory",
            Self::Caddy => "each transaction synced (bbolt)",
        }
    }

    /// Whether the server stops answering now and then for a reason of its own, which then says nothing about the run.
    ///
    /// Pebble 2.10 reads an order under its lock twice; when the certificate is stored in between, both wait for ever.
    /// [`Fence`] keeps it from a lock of that kind that it meets ten times as often.
    pub(crate) fn may_hang(self) -> bool {
        matches!(self, Self::Pebble | Self::PebbleRsa)
    }

    /// Whether its workers have to keep out of each other's way.
    fn fence(self) -> Fence {
        match self {
            Self::Pebble | Self::PebbleRsa => Fence::closed(),
            Self::Certmill
            | Self::CertmillCluster
            | Self::CertmillAlways
            | Self::CertmillReplicas
            | Self::Caddy => Fence::open(),
        }
    }

    /// The versions of the programs it consists of.
    ///
    /// # Errors
    /// When one of them is not installed.
    pub(crate) async fn version(self, options: &Options) -> Result<String, Missing> {
        let certmill = options.certmill.as_path();
        let programs = match self {
            Self::Certmill => vec![tools::program(certmill)?],
            Self::CertmillCluster | Self::CertmillAlways | Self::CertmillReplicas => vec![
                tools::program(certmill)?,
                tools::find("nats-server", options)?,
                tools::find("redis-server", options)?,
            ],
            Self::Pebble | Self::PebbleRsa => vec![tools::find("pebble", options)?],
            Self::Caddy => vec![tools::find("caddy", options)?],
        };
        let mut versions = Vec::new();
        for program in programs {
            versions.push(tools::version(&program).await);
        }
        Ok(versions.join(", "))
    }
}

/// What a server is started with.
pub(crate) struct Setup<'a> {
    /// The command line.
    pub(crate) options: &'a Options,
    /// The DNS server for the names that are validated.
    pub(crate) dns: SocketAddr,
    /// Where http-01 challenges are answered.
    pub(crate) http01: SocketAddr,
}

/// A running server with all its processes; dropping it kills them and removes their files.
pub(crate) struct Server {
    kind: Kind,
    origin: Origin,
    directory_path: &'static str,
    processes: Vec<Process>,
    _files: TempDir,
}

/// Processes that were started, and how their server is reached once it is ready.
struct Started {
    processes: Vec<Process>,
    port: u16,
    directory_path: &'static str,
    roots: Roots,
}

/// The certificates a server's own certificate is verified with.
enum Roots {
    Known(CertificateDer<'static>),
    /// In a PEM file that the server writes at its first start.
    File(std::path::PathBuf),
}

impl Server {
    /// Starts a server with nothing in it and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready, with the end of its log.
    pub(crate) async fn start(kind: Kind, setup: &Setup<'_>) -> anyhow::Result<Self> {
        // Absolute, because servers run elsewhere.
        let work_dir = std::path::absolute(&setup.options.work_dir)?;
        std::fs::create_dir_all(&work_dir)?;
        let files = TempDir::new_in(&work_dir)?;
        let mut started = match kind {
            Kind::Certmill => certmill::embedded(setup, files.path())?,
            Kind::CertmillCluster => {
                certmill::cluster(setup, files.path(), nats::Durability::Lazy).await?
            }
            Kind::CertmillAlways => {
                certmill::cluster(setup, files.path(), nats::Durability::Always).await?
            }
            Kind::CertmillReplicas => {
                certmill::cluster(setup, files.path(), nats::Durability::Replicated).await?
            }
            Kind::Pebble => pebble::start(setup, files.path(), "ecdsa")?,
            Kind::PebbleRsa => pebble::start(setup, files.path(), "rsa")?,
            Kind::Caddy => caddy::start(setup, files.path())?,
        };
        let origin = started.wait_until_ready().await?;
        let Started { processes, directory_path, .. } = started;
        Ok(Self { kind, origin, directory_path, processes, _files: files })
    }

    /// How it is reached.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where its directory is.
    pub(crate) fn directory_path(&self) -> &'static str {
        self.directory_path
    }

    /// How its workers keep out of each other's way; all workers need clones of one.
    pub(crate) fn fence(&self) -> Fence {
        self.kind.fence()
    }

    /// What each of its processes has used.
    ///
    /// # Errors
    /// When one of them has ended.
    pub(crate) fn usage(&mut self) -> anyhow::Result<Vec<(String, Usage)>> {
        self.processes.iter_mut().map(|it| Ok((it.name().to_owned(), it.usage()?))).collect()
    }

    /// Ends all processes.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for process in self.processes {
            process.stop().await?;
        }
        Ok(())
    }

    /// The end of every process's log.
    pub(crate) fn logs(&self) -> String {
        let tail = |process: &Process| format!("--- {}\n{}", process.name(), process.log_tail());
        self.processes.iter().map(tail).collect()
    }
}

impl Started {
    async fn wait_until_ready(&mut self) -> anyhow::Result<Origin> {
        let path = self.directory_path;
        let (roots, port) = (&self.roots, self.port);
        wait_until(&mut self.processes, async || {
            // A file may not be there yet, or not whole.
            let origin = roots.origin(port).ok()?;
            Client::can_reach(&origin, path).await.then_some(origin)
        })
        .await
    }
}

impl Roots {
    fn origin(&self, port: u16) -> anyhow::Result<Origin> {
        let roots = match self {
            Self::Known(certificate) => vec![certificate.clone()],
            Self::File(path) => certificates(path)?,
        };
        Origin::new(loopback(port), roots)
    }
}

/// Asks until there is an answer, as long as all processes run.
async fn wait_until<T>(
    processes: &mut [Process],
    answer: impl AsyncFn() -> Option<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + START_TIMEOUT;
    while Instant::now() < deadline {
        for process in &mut *processes {
            process.check_running()?;
        }
        if let Some(answer) = answer().await {
            return Ok(answer);
        }
        tokio::time::sleep(START_INTERVAL).await;
    }
    let logs: String = processes.iter().map(Process::log_tail).collect();
    bail!("not ready within {START_TIMEOUT:?}:\n{logs}")
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    use rustls::pki_types::pem::PemObject as _;
    Ok(CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?)
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Ports of loopback nobody listens on, all different.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    // All are held until all are known.
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(loopback(0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// A self-signed certificate for `localhost` in `tls.pem` and its key in `tls.key`, for servers that bring none.
///
/// All servers have P-256 keys, so that no handshake or signature is dearer than another's.
fn write_tls_certificate(directory: &Path) -> anyhow::Result<CertificateDer<'static>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(directory.join("tls.pem"), made.cert.pem())?;
    std::fs::write(directory.join("tls.key"), made.signing_key.serialize_pem())?;
    Ok(made.cert.der().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let mut ports = free_ports::<8>().expect("ports").to_vec();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
