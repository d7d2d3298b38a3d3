//! NATS servers as child processes.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use jetstream::Options;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
};

use super::{eventually, routes::Routes};

/// How much of what a server logged is shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// When a server writes to disk.
#[derive(Clone, Copy)]
pub(crate) enum Sync {
    Lazy,
    Always,
}

/// A server; killed when dropped.
pub(crate) struct Nats {
    child: Child,
    pub(crate) name: String,
    client: SocketAddr,
    monitor: SocketAddr,
    directory: TempDir,
}

impl Nats {
    /// Starts one server with JetStream.
    pub(crate) async fn start(sync: Sync) -> Self {
        let jetstream = |directory: &Path| jetstream_block(directory, sync);
        Self::start_with("single", &jetstream).await
    }

    /// Starts one server without JetStream.
    pub(crate) async fn start_without_jetstream() -> Self {
        Self::start_with("plain", &|_| String::new()).await
    }

    /// Starts one server with JetStream and more in its configuration.
    pub(crate) async fn start_with_blocks(blocks: &str) -> Self {
        let all =
            |directory: &Path| format!("{}\n{blocks}", jetstream_block(directory, Sync::Lazy));
        Self::start_with("single", &all).await
    }

    async fn start_with(name: &str, blocks: &dyn Fn(&Path) -> String) -> Self {
        let server = Self::spawn(name, blocks);
        server.ready().await;
        server
    }

    fn spawn(name: &str, blocks: &dyn Fn(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory is made");
        let (client, monitor) = (free_address(), free_address());
        let blocks = blocks(directory.path());
        let config = format!("server_name: {name}\nlisten: {client}\nhttp: {monitor}\n{blocks}\n");
        fs::write(directory.path().join("nats.conf"), config).expect("the file is written");
        let child = spawn(directory.path());
        Self { child, name: name.to_owned(), client, monitor, directory }
    }

    /// Waits until the server greets.
    async fn ready(&self) {
        eventually("the greeting of a server", async || {
            let stream = TcpStream::connect(self.client).await?;
            BufReader::new(stream).read_line(&mut String::new()).await
        })
        .await;
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.client)
    }

    pub(crate) fn monitor_url(&self) -> String {
        format!("http://{}", self.monitor)
    }

    /// Lets the running server take messages of up to so many bytes.
    pub(crate) fn limit_payload(&self, bytes: usize) {
        let file = self.directory.path().join("nats.conf");
        let config = fs::read_to_string(&file).expect("the file is read");
        let others: Vec<&str> =
            config.lines().filter(|line| !line.starts_with("max_payload")).collect();
        let config = format!("{}\nmax_payload: {bytes}\n", others.join("\n"));
        fs::write(&file, config).expect("the file is written");
        self.signal("-HUP");
    }

    /// Replaces a part of the running server's configuration.
    pub(crate) fn reconfigure(&self, part: &str, other: &str) {
        let file = self.directory.path().join("nats.conf");
        let config = fs::read_to_string(&file).expect("the file is read");
        assert!(config.contains(part), "{config}");
        fs::write(&file, config.replace(part, other)).expect("the file is written");
        self.signal("-HUP");
    }

    /// Has the server do nothing, and keep all connections, until it is to go on.
    pub(crate) fn suspend(&self) {
        self.signal("-STOP");
    }

    /// Has a suspended server go on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("the signal is sent").success());
    }

    /// Kills the server without warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    /// Has the server write down what it knows, and end.
    pub(crate) fn stop(&mut self) {
        self.signal("-TERM");
        self.child.wait().expect("the server ends");
    }

    /// Starts a killed server again on what it had stored.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(self.directory.path());
        self.ready().await;
    }
}

impl Drop for Nats {
    #[expect(clippy::print_stderr, reason = "the test runner shows it when the test failed")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("nats.log"));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(LOG_LINES_SHOWN).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            eprintln!("--- {}\n{}", self.name, lines.join("\n"));
        }
    }
}

/// Servers that sync each message, three unless a test wants more.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Nats>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_of(3).await
    }

    pub(crate) async fn start_of(count: usize) -> Self {
        let routes: Vec<SocketAddr> = (0..count).map(|_| free_address()).collect();
        Self::start_behind(&routes, &routes).await
    }

    /// Starts three servers whose routes can be cut.
    pub(crate) async fn start_with_routes() -> (Self, Routes) {
        let (mut carried, mut routes, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..3 {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            seen.push(listener.local_addr().expect("it has an address"));
            routes.push(free_address());
            carried.push((listener, node(i), routes[i]));
        }
        let carried = Routes::carry(carried);
        (Self::start_behind(&routes, &seen).await, carried)
    }

    /// Starts servers that listen for routes, and that see each other, at these addresses.
    async fn start_behind(routes: &[SocketAddr], seen: &[SocketAddr]) -> Self {
        // Whoever connects looks at the monitors, as a client of HTTP that wants TLS ready.
        let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
        let list: Vec<String> = seen.iter().map(|route| format!("nats://{route}")).collect();
        let list = list.join(", ");
        let server = |(i, (route, seen)): (usize, (&SocketAddr, &SocketAddr))| {
            Nats::spawn(&node(i), &|directory: &Path| {
                let jetstream = jetstream_block(directory, Sync::Always);
                format!(
                    "{jetstream}\ncluster {{ name: test, listen: {route}, advertise: \"{seen}\", routes: [{list}] }}"
                )
            })
        };
        let servers: Vec<Nats> = routes.iter().zip(seen).enumerate().map(server).collect();
        for server in &servers {
            server.ready().await;
        }
        Self { servers }
    }

    /// What production would configure, but for fewer streams and a short time until redelivery.
    pub(crate) fn options(&self) -> Options {
        let urls = self.servers.iter().map(|server| server.monitor_url().parse().expect("a URL"));
        Options {
            servers: self.servers.iter().map(Nats::url).collect(),
            monitor_urls: urls.collect(),
            order_shards: 2,
            ack_wait: Duration::from_secs(2),
            ..Options::default()
        }
    }
}

fn node(number: usize) -> String {
    format!("node-{number}")
}

fn jetstream_block(directory: &Path, sync: Sync) -> String {
    let sync = match sync {
        Sync::Lazy => "2m",
        Sync::Always => "always",
    };
    format!("jetstream {{ store_dir: {directory:?}, sync_interval: {sync} }}")
}

fn spawn(directory: &Path) -> Child {
    let program = program();
    Command::new(&program)
        .arg("--config")
        .arg(directory.join("nats.conf"))
        .arg("--log")
        .arg(directory.join("nats.log"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()))
}

/// The newer server that `scripts/test-tools` unpacks, else the one on PATH.
fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/root/usr");
    let unpacked = ["sbin", "bin"].map(|directory| root.join(directory));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut programs =
        unpacked.into_iter().chain(env::split_paths(&path)).map(|dir| dir.join("nats-server"));
    programs
        .find(|program| program.is_file())
        .expect("nats-server 2.15.1 or newer is needed: run scripts/test-tools")
}

/// An address of this machine that nobody listens on. Connections that ended there keep the system from giving its port to
/// somebody else for a minute, and nobody from listening on it who names it; it gave one port in five twice without.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let client = std::net::TcpStream::connect(address).expect("it listens");
    // Whoever ends first remembers.
    drop(listener.accept().expect("somebody connected"));
    drop(client);
    address
}
