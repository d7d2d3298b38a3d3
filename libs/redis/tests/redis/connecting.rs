//! Which servers are accepted, over which connections.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use acme::{Nonces, Redeemed};
use redis_store::{ConnectError, LogIdentity, Options, RedisStore};

use crate::server::{Server, on_each, programs};

async fn refusal(server: &Server) -> ConnectError {
    RedisStore::connect(&server.url(), Options::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_with_what_to_do() {
    let arguments = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    on_each(&arguments, async |server| {
        let error = refusal(&server).await;
        assert!(matches!(&error, ConnectError::Evicts { policy } if policy == "allkeys-lru"));
        assert!(error.to_string().contains("set maxmemory-policy noeviction"), "{error}");
        server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
        server.store().await;
        server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
        server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
        server.store().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_begins_to_evict_is_left_alone_until_it_ends() {
    on_each(&["--maxmemory", "100mb"], async |server| {
        let options = Options { check_every: Duration::ZERO, ..Options::default() };
        let store = RedisStore::connect(&server.url(), options).await.unwrap();
        let nonce = store.issue(&crate::profile()).await.unwrap();
        server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
        assert!(store.redeem(&crate::profile(), &nonce).await.is_err());
        server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_at_the_moment_is_waited_for() {
    for setting in ["min-replicas-to-write", "maxmemory"] {
        on_each(&[], async |server| {
            server.command::<()>(&["CONFIG", "SET", setting, "1"]).await;
            let error = refusal(&server).await;
            assert!(error.is_transient(), "{setting}: {error:?}");
            server.command::<()>(&["CONFIG", "SET", setting, "0"]).await;
            server.store().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_that_cannot_save_is_waited_for() {
    let arguments = ["--save", "3600 1", "--enable-protected-configs", "yes"];
    on_each(&arguments, async |server| {
        let there: Vec<String> = server.command(&["CONFIG", "GET", "dir"]).await;
        server.command::<()>(&["CONFIG", "SET", "dir", "/proc"]).await;
        server.command::<()>(&["BGSAVE"]).await;
        while !server.command::<String>(&["INFO", "persistence"]).await.contains("status:err") {}
        let error = refusal(&server).await;
        assert!(error.is_transient(), "{error:?}");
        server.command::<()>(&["CONFIG", "SET", "dir", &there[1]]).await;
        server.command::<()>(&["SAVE"]).await;
        server.store().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_runs_a_long_script_is_waited_for() {
    on_each(&["--busy-reply-threshold", "1"], async |server| {
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let script = tokio::spawn(async move {
            let mut endless = redis::cmd("EVAL");
            endless.arg("while true do end").arg(0).query_async::<()>(&mut connection).await
        });
        let error = loop {
            if let Err(error) = RedisStore::connect(&server.url(), Options::default()).await {
                break error;
            }
        };
        assert!(error.is_transient(), "{error:?}");
        server.command::<()>(&["SCRIPT", "KILL"]).await;
        assert!(script.await.unwrap().is_err());
        server.store().await;
    })
    .await;
}

#[tokio::test]
async fn a_cluster_is_refused() {
    on_each(&["--cluster-enabled", "yes"], async |server| {
        assert!(matches!(refusal(&server).await, ConnectError::Cluster));
    })
    .await;
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_repeating_it() {
    for url in ["", "http://:secret@localhost", "redis://:secret@localhost:x", "redis"] {
        let error = RedisStore::connect(url, Options::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Configuration(_)), "{url}");
        assert!(!format!("{error:?} {error}").contains("secret"));
    }
}

#[tokio::test]
async fn a_password_is_sent_and_a_wrong_one_is_refused() {
    on_each(&["--requirepass", "open sesame"], async |server| {
        assert!(matches!(refusal(&server).await, ConnectError::Unreachable(_)));
        let url = format!("redis://:open%20sesame@127.0.0.1:{}/3", server.port());
        let store = RedisStore::connect(&url, Options::default()).await.unwrap();
        let nonce = store.issue(&crate::profile()).await.unwrap();
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    })
    .await;
}

#[tokio::test]
async fn a_database_belongs_to_one_log_until_it_is_emptied() {
    on_each(&[], async |server| {
        let of = |log: &str| of(log, None);
        let [one, other] = ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"];
        let store = RedisStore::connect(&server.url(), of(one)).await.unwrap();
        let error = RedisStore::connect(&server.url(), of(other)).await.unwrap_err();
        assert!(
            matches!(&error, ConnectError::OtherLog { found, log } if found == one && log == other)
        );
        assert!(!error.is_transient());
        RedisStore::connect(&server.url(), of(one)).await.unwrap();
        let beside = format!("{}/1", server.url());
        RedisStore::connect(&beside, of(other)).await.unwrap();

        server.command::<()>(&["FLUSHDB"]).await;
        RedisStore::connect(&server.url(), of(other)).await.unwrap();
        assert!(store.issue(&crate::profile()).await.is_ok(), "sealed without asking");
        let nonce = store.issue(&crate::profile()).await.unwrap();
        assert!(store.redeem(&crate::profile(), &nonce).await.is_err());
        assert!(store.issue(&crate::profile()).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_database_of_a_release_that_named_no_log_is_taken_over() {
    on_each(&[], async |server| {
        let store = server.store().await;
        let nonce = store.issue(&crate::profile()).await.unwrap();
        server.command::<()>(&["HDEL", "certmill:epoch", "log"]).await;
        let options = of("2026-11-01T00:00:00Z", Some("a"));
        let later = RedisStore::connect(&server.url(), options).await.unwrap();
        assert_eq!(later.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    })
    .await;
}

#[tokio::test]
async fn a_log_is_the_same_if_its_moment_or_its_group_is() {
    on_each(&[], async |server| {
        let url = server.url();
        let connect = |log: &str, group| RedisStore::connect(&url, of(log, group));
        // As a release before wrote it.
        connect("1", None).await.unwrap();
        connect("1", Some("a")).await.unwrap();
        assert!(connect("2", None).await.is_err());
        assert!(connect("2", Some("b")).await.is_err());
        connect("2", Some("a")).await.unwrap();
        assert!(connect("1", Some("b")).await.is_err());
        connect("2", None).await.unwrap();
        connect("2", Some("b")).await.unwrap();
        assert!(connect("1", Some("a")).await.is_err());
        connect("1", Some("b")).await.unwrap();
    })
    .await;
}

/// The options for a log that was made at a time by a group.
fn of(made_at: &str, group: Option<&str>) -> Options {
    let log = LogIdentity { made_at: made_at.to_owned(), group: group.map(str::to_owned) };
    Options { log, ..Options::default() }
}

/// A certificate for `localhost` that signed itself, and its key.
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn make(files: &Path, name: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let signed = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let file = |extension: &str| files.join(format!("{name}.{extension}"));
        let certificate = Self { chain: file("pem"), key: file("key") };
        fs::write(&certificate.chain, signed.pem()).unwrap();
        fs::write(&certificate.key, key.serialize_pem()).unwrap();
        certificate
    }

    fn settings(&self) -> [(&'static str, String); 3] {
        let (chain, key) = (self.chain.display().to_string(), self.key.display().to_string());
        [("tls-cert-file", chain.clone()), ("tls-key-file", key), ("tls-ca-cert-file", chain)]
    }

    /// Starts a server that shows it; answers with that and its URL.
    fn shown_by(&self, program: &'static str) -> (Server, String) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut arguments =
            vec!["--tls-port".to_owned(), port.to_string(), "--tls-auth-clients".to_owned()];
        arguments.push("no".to_owned());
        for (name, value) in self.settings() {
            arguments.extend([format!("--{name}"), value]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        (Server::start(program, &arguments), format!("rediss://localhost:{port}"))
    }
}

#[tokio::test]
async fn rediss_verifies_the_server_and_then_works() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(files.path(), "one");
    for program in programs() {
        let (_server, url) = certificate.shown_by(program);
        let error = RedisStore::connect(&url, Options::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable(_)), "the system's roots do not know it");
        let tls_roots = Some(files.path().join("missing.pem"));
        let options = Options { tls_roots, ..Options::default() };
        let error = RedisStore::connect(&url, options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Roots { .. }), "{error}");
        let tls_roots = Some(certificate.chain.clone());
        let options = Options { tls_roots, ..Options::default() };
        let store = RedisStore::connect(&url, options).await.unwrap();
        let nonce = store.issue(&crate::profile()).await.unwrap();
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    }
}

#[tokio::test]
async fn roots_that_are_replaced_are_trusted_by_the_next_connection() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| Certificate::make(files.path(), name));
    let roots = files.path().join("roots.pem");
    for program in programs() {
        fs::copy(&one.chain, &roots).unwrap();
        let (server, url) = one.shown_by(program);
        let options = Options { tls_roots: Some(roots.clone()), ..Options::default() };
        let store = RedisStore::connect(&url, options).await.unwrap();
        let nonce = store.issue(&crate::profile()).await.unwrap();

        fs::copy(&other.chain, &roots).unwrap();
        let settings = other.settings();
        let mut words = vec!["CONFIG", "SET"];
        words.extend(settings.iter().flat_map(|(name, value)| [*name, value.as_str()]));
        server.command::<()>(&words).await;
        server.command::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    }
}
