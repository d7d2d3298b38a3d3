//! A Redis server of a test's own, killed when the test ends.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use redis::{FromRedisValue, cmd};
use redis_store::{Options, RedisStore};
use tempfile::TempDir;

/// How long a server may take to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a server says when it can be used; the same in Redis and Valkey.
const READY: &str = "Ready to accept connections";

pub(crate) struct Server {
    program: &'static str,
    arguments: Vec<String>,
    directory: TempDir,
    port: u16,
    process: Option<(Child, Receiver<String>)>,
}

/// The servers installed here; at least Redis must be.
pub(crate) fn programs() -> Vec<&'static str> {
    let is_there = |program: &&str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok()
    };
    let found: Vec<_> = ["redis-server", "valkey-server"].into_iter().filter(is_there).collect();
    assert!(!found.is_empty(), "redis-server or valkey-server must be installed");
    found
}

/// Runs a test on every server installed.
pub(crate) async fn on_each<F: Future<Output = ()>>(
    arguments: &[&str],
    test: impl Fn(Server) -> F,
) {
    for program in programs() {
        println!("on {program}");
        test(Server::start(program, arguments)).await;
    }
}

impl Server {
    /// Starts a server on a free port, without persistence unless the arguments say so.
    pub(crate) fn start(program: &'static str, arguments: &[&str]) -> Self {
        let mut server = Self {
            program,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            directory: tempfile::tempdir().unwrap(),
            port: 0,
            process: None,
        };
        // Another process may take the port between its choice and its use: choose again.
        while server.process.is_none() {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            server.start_again();
        }
        server
    }

    /// Starts the server on its port and directory; it stays down when the port is taken.
    pub(crate) fn start_again(&mut self) {
        let mut child = Command::new(self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--repl-diskless-sync-delay", "0"])
            .args(&self.arguments)
            .current_dir(self.directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (says, said) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| says.send(line)));
        self.process = Some((child, said));
        if !self.waits_for(READY) {
            self.process = None;
        }
    }

    /// Whether the server says something before it ends.
    fn waits_for(&mut self, text: &str) -> bool {
        let (_, said) = self.process.as_ref().unwrap();
        loop {
            match said.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// Kills the server as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some((mut child, _)) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts a replica and waits until it has all this server has.
    pub(crate) fn replica(&self) -> Self {
        let mut replica = Self::start(
            self.program,
            &["--replicaof", &format!("127.0.0.1 {}", self.port), "--appendonly", "no"],
        );
        replica.waits_for_sync();
        replica
    }

    pub(crate) fn waits_for_sync(&mut self) {
        assert!(self.waits_for("sync: Finished with success"), "the replica is in step");
    }

    /// Waits until a replica has everything written so far.
    pub(crate) async fn replicates(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connection.unwrap();
        // WAIT looks at the writes of its own connection, so that there must be one.
        let () = cmd("SET").arg("test").arg("x").query_async(&mut connection).await.unwrap();
        let patience = PATIENCE.as_millis().to_string();
        let replicas: u32 =
            cmd("WAIT").arg("1").arg(patience).query_async(&mut connection).await.unwrap();
        assert_eq!(replicas, 1);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A store of its own, as another process would have.
    pub(crate) async fn store(&self) -> RedisStore {
        RedisStore::connect(&self.url(), Options::default()).await.unwrap()
    }

    /// Sends a command as an operator would.
    pub(crate) async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
