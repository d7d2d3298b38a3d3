//! Which servers are accepted, over which connections.

use std::{fs, time::Duration};

use acme::{Nonces, Redeemed};
use redis_store::{ConnectError, Options, RedisStore};

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
async fn rediss_verifies_the_server_and_then_works() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = (files.path().join("c.pem"), files.path().join("k.pem"));
    fs::write(&certificate_file, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for program in programs() {
        let arguments = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", certificate_file.display().to_string()),
            ("--tls-key-file", key_file.display().to_string()),
            ("--tls-ca-cert-file", certificate_file.display().to_string()),
            ("--tls-auth-clients", "no".to_owned()),
        ];
        let words: Vec<&str> =
            arguments.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        let _server = Server::start(program, &words);
        let url = format!("rediss://localhost:{port}");
        let error = RedisStore::connect(&url, Options::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable(_)), "the system's roots do not know it");
        let tls_roots = Some(certificate.pem().into_bytes());
        let options = Options { tls_roots, ..Options::default() };
        let store = RedisStore::connect(&url, options).await.unwrap();
        let nonce = store.issue(&crate::profile()).await.unwrap();
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    }
}
