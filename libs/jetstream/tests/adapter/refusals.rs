//! What is refused at start, and how the message helps.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use async_nats::jetstream::stream;
use domain::OrderId;
use eventstore::{AppendError, Expected, Subject};
use jetstream::{ClientCertificate, ConnectError, JetStream, Options};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use super::{
    append, development,
    nats::{Nats, Sync, free_address},
    stranger,
};

/// Connects, and returns why that is refused.
async fn refusal(options: Options) -> ConnectError {
    JetStream::connect(options).await.err().expect("it is refused")
}

/// Options of a production site that has only one server.
fn production(server: &Nats) -> Options {
    let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
    Options {
        servers: vec![server.url()],
        monitor_urls: vec![server.monitor_url().parse().unwrap()],
        ..Options::default()
    }
}

/// A server that greets with a version and answers pings.
async fn server_of_version(version: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let greeting = format!(
        "INFO {{\"server_id\":\"x\",\"server_name\":\"old\",\"version\":\"{version}\",\"go\":\"go1\",\
         \"host\":\"127.0.0.1\",\"port\":{},\"headers\":true,\"max_payload\":1048576,\"proto\":1}}\r\n",
        address.port()
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reader, mut writer) = stream.into_split();
            writer.write_all(greeting.as_bytes()).await.unwrap();
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "PING" {
                    writer.write_all(b"PONG\r\n").await.unwrap();
                }
            }
        }
    });
    format!("nats://{address}")
}

#[tokio::test]
async fn an_old_server_is_refused_even_in_development() {
    let url = server_of_version("2.9.10").await;
    let refusal = refusal(development(vec![url])).await;
    assert!(matches!(refusal, ConnectError::ServerTooOld { .. }), "{refusal:?}");
    let message = refusal.to_string();
    assert!(message.contains("2.9.10") && message.contains("2.15.1"), "{message}");
}

#[tokio::test]
async fn fewer_than_three_replicas_are_refused() {
    let server = Nats::start(Sync::Always).await;
    let refusal = refusal(Options { replicas: 1, ..production(&server) }).await;
    assert!(matches!(refusal, ConnectError::TooFewReplicas { replicas: 1 }), "{refusal:?}");
    assert!(refusal.to_string().contains("event_log.replicas"));
}

#[tokio::test]
async fn fewer_order_shards_than_hold_orders_are_refused() {
    let server = Nats::start(Sync::Lazy).await;
    let shards = |order_shards| Options { order_shards, ..development(vec![server.url()]) };
    let log = JetStream::connect(shards(4)).await.unwrap();
    JetStream::connect(shards(2)).await.unwrap();
    for shard in [2, 3] {
        let subject = Subject::order(&OrderId::new(shard, &[7; 16]));
        append(&log, &subject, Expected::Anything, "a").await.unwrap();
    }
    let refusal = refusal(shards(2)).await;
    assert!(matches!(refusal, ConnectError::FewerShards { needed: 4, .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("event_log.order_shards is 2"), "{refusal}");
    JetStream::connect(shards(4)).await.unwrap();
}

#[tokio::test]
async fn servers_whose_sync_cannot_be_seen_are_refused() {
    let server = Nats::start(Sync::Always).await;
    let unseen = refusal(Options { monitor_urls: Vec::new(), ..production(&server) }).await;
    assert!(matches!(unseen, ConnectError::NoMonitor), "{unseen:?}");
    assert!(unseen.to_string().contains("event_log.monitor_urls"));
    let elsewhere = format!("http://{}", free_address()).parse().unwrap();
    let silent = refusal(Options { monitor_urls: vec![elsewhere], ..production(&server) }).await;
    let expected = matches!(silent, ConnectError::MonitorUnreachable { answered: 0, asked: 1, .. });
    assert!(expected, "{silent:?}");
}

#[tokio::test]
async fn a_server_that_syncs_lazily_is_refused() {
    let server = Nats::start(Sync::Lazy).await;
    let refusal = refusal(production(&server)).await;
    assert!(matches!(refusal, ConnectError::LazySync { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("sync_interval: always"));
}

#[tokio::test]
async fn servers_beside_those_whose_sync_is_seen_are_refused() {
    let server = Nats::start(Sync::Always).await;
    let one = production(&server);
    // One address for all servers shows any one of them, however often it is named.
    let repeated =
        Options { monitor_urls: vec![one.monitor_urls[0].clone(); 3], ..production(&server) };
    for options in [one, repeated] {
        let refusal = refusal(options).await;
        let expected = matches!(refusal, ConnectError::ServersUnseen { seen: 1, replicas: 3 });
        assert!(expected, "{refusal:?}");
        assert!(refusal.to_string().contains("event_log.monitor_urls"), "{refusal}");
    }
}

#[tokio::test]
async fn one_server_cannot_keep_three_replicas() {
    let server = Nats::start(Sync::Always).await;
    let others = [Nats::start(Sync::Always).await, Nats::start(Sync::Always).await];
    let mut options = production(&server);
    for other in &others {
        options.monitor_urls.push(other.monitor_url().parse().unwrap());
    }
    let refusal = refusal(options).await;
    assert!(matches!(refusal, ConnectError::StreamRefused { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("replicas"));
}

#[tokio::test]
async fn a_stream_that_was_made_otherwise_is_refused_by_field() {
    let server = Nats::start(Sync::Lazy).await;
    let raw = stranger(server.url()).await;
    let config = stream::Config {
        name: "certmill-ledger".to_owned(),
        subjects: vec!["certmill.ledger.>".to_owned()],
        max_messages_per_subject: 64,
        ..stream::Config::default()
    };
    raw.create_stream(config).await.unwrap();
    let refusal = refusal(development(vec![server.url()])).await;
    let ConnectError::StreamDiffers { stream, .. } = &refusal else { panic!("{refusal:?}") };
    assert_eq!(stream, "certmill-ledger");
    let message = refusal.to_string();
    assert!(message.contains("nats stream edit certmill-ledger"), "{message}");
}

#[tokio::test]
async fn a_server_without_jetstream_is_refused() {
    let server = Nats::start_without_jetstream().await;
    let none = refusal(development(vec![server.url()])).await;
    assert!(matches!(none, ConnectError::Disabled), "{none:?}");
    let accounts =
        "accounts { A { jetstream: enabled }, B { users: [ { user: b, password: b } ] } }";
    let server = Nats::start_with_blocks(accounts).await;
    let login = server.url().replace("nats://", "nats://b:b@");
    let not_for_all = refusal(development(vec![login])).await;
    assert!(matches!(not_for_all, ConnectError::Disabled), "{not_for_all:?}");
}

#[tokio::test]
async fn a_websocket_url_is_refused_and_no_connection_without_tls_made_of_it() {
    let server = Nats::start(Sync::Lazy).await;
    for scheme in ["wss", "ws"] {
        let url = server.url().replace("nats", scheme);
        let refusal = refusal(development(vec![server.url(), url])).await;
        assert!(matches!(refusal, ConnectError::InvalidServer { entry: 2, .. }), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_file_for_tls_that_is_not_there_is_named_with_its_key() {
    let files = tempfile::tempdir().unwrap();
    let (there, missing) = (files.path().join("there"), files.path().join("missing"));
    std::fs::write(&there, "").unwrap();
    let options = development(vec!["tls://127.0.0.1:1".to_owned()]);
    let own = |chain: &PathBuf, key: &PathBuf| {
        Some(ClientCertificate { chain: chain.clone(), key: key.clone() })
    };
    let roots = Options { root_certificates: Some(missing.clone()), ..options.clone() };
    let chain = Options { client_certificate: own(&missing, &there), ..options.clone() };
    let key = Options { client_certificate: own(&there, &missing), ..options };
    for (options, named) in
        [(roots, "root_certificates"), (chain, "client_certificate"), (key, "client_key")]
    {
        let refusal = refusal(options).await;
        assert!(
            matches!(&refusal, ConnectError::File { path, .. } if *path == missing),
            "{refusal:?}"
        );
        assert!(refusal.to_string().contains(named), "{refusal}");
        assert!(!refusal.is_transient());
    }
}

#[tokio::test]
async fn servers_that_are_not_there_are_an_error() {
    let absent = refusal(development(vec![format!("nats://{}", free_address())])).await;
    assert!(matches!(absent, ConnectError::Unreachable(_)), "{absent:?}");
    assert!(absent.to_string().contains("event_log.servers"));
    assert!(absent.is_transient(), "it may be starting");
    assert!(matches!(refusal(development(Vec::new())).await, ConnectError::NoServer));
    let nonsense = refusal(development(vec!["ftp://127.0.0.1".to_owned()])).await;
    assert!(matches!(nonsense, ConnectError::InvalidServer { entry: 1, .. }), "{nonsense:?}");
    let prefix = "a.b".to_owned();
    let named = refusal(Options { prefix, ..development(Vec::new()) }).await;
    assert!(matches!(named, ConnectError::InvalidPrefix { .. }), "{named:?}");
}

const ROLES: &str = r#"
authorization {
  users: [
    { user: signer, password: s, permissions: {
        publish: [ "$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.CREATE.*", "certmill.self-test.>" ]
        subscribe: [ "_INBOX.>", "certmill.wake" ]
    } }
    { user: api, password: a, permissions: {
        publish: [ "$JS.API.INFO", "$JS.API.STREAM.INFO.*", "certmill.self-test.>" ]
        subscribe: [ "_INBOX.>", "certmill.wake" ]
    } }
    { user: untried, password: u, permissions: {
        publish: [ "$JS.API.INFO", "$JS.API.STREAM.INFO.*" ]
        subscribe: [ "_INBOX.>", "certmill.wake" ]
    } }
    { user: nobody, password: n, permissions: {
        publish: [ "certmill.self-test.>" ]
        subscribe: [ "_INBOX.>", "certmill.wake" ]
    } }
    { user: operator, password: o }
  ]
}"#;

#[tokio::test]
async fn what_a_user_may_not_do_is_told_at_once_with_what_to_do() {
    let server = Nats::start_with_blocks(ROLES).await;
    let as_user = |login: &str, days: u64| Options {
        order_max_age: Duration::from_hours(24 * days),
        ..development(vec![server.url().replace("nats://", &format!("nats://{login}@"))])
    };
    let check = async |login: &str, days, expected: &str| {
        let began = Instant::now();
        let refusal = refusal(as_user(login, days)).await;
        assert!(began.elapsed() < Options::default().request_timeout, "it waited in vain");
        assert!(refusal.to_string().contains(expected), "{refusal}");
        // What another part or the operator does meanwhile is waited for.
        assert_eq!(refusal.is_transient(), !matches!(refusal, ConnectError::Forbidden { .. }));
    };
    check("nobody:n", 4, "may not publish to $JS.API.INFO").await;
    check("api:a", 4, "start the signer, which creates it").await;
    JetStream::connect(as_user("signer:s", 4)).await.unwrap();
    JetStream::connect(as_user("api:a", 4)).await.unwrap();
    check("signer:s", 10, "run `certmill rebuild` with the operator's credentials").await;
    JetStream::connect(as_user("operator:o", 10)).await.unwrap();
    let log = JetStream::connect(as_user("api:a", 10)).await.unwrap();
    let untried = refusal(as_user("untried:u", 10)).await;
    assert!(matches!(untried, ConnectError::SelfTest(_)), "{untried:?}");
    // Waiting mends no password.
    let stranger = refusal(as_user("api:wrong", 10)).await;
    assert!(!stranger.is_transient(), "{stranger:?}");
    let (began, order) = (Instant::now(), Subject::order(&OrderId::new(0, &[7; 16])));
    let refused = append(&log, &order, Expected::Anything, "a").await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < Options::default().request_timeout, "it waited in vain");
}

#[tokio::test]
async fn who_may_not_begin_a_log_makes_no_stream_but_those_for_more_orders() {
    let server = Nats::start(Sync::Lazy).await;
    let options = Options { may_begin: false, ..development(vec![server.url()]) };
    for _ in 0..2 {
        let refusal = refusal(options.clone()).await;
        assert!(matches!(refusal, ConnectError::StreamMissing { .. }), "{refusal:?}");
    }
    JetStream::connect(development(vec![server.url()])).await.unwrap();
    let shards = options.order_shards + 1;
    JetStream::connect(Options { order_shards: shards, ..options }).await.unwrap();
}
