//! What the monitoring URLs show of servers, and what is done about those that show nothing.

use std::time::Duration;

use jetstream::{ConnectError, JetStream, Options};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    time::timeout,
};

use super::nats::{Nats, Sync, free_address};

/// What a monitor does when it is asked.
#[derive(Clone, Copy)]
enum Answer {
    /// Shows a server of this name and version, at this path.
    State { name: &'static str, version: &'static str, path: &'static str },
    /// Says nothing.
    Silence,
    /// Never ends.
    Endless,
}

/// Much less than anybody who starts a server would wait.
const SOON: Duration = Duration::from_secs(10);
const GOOD: Answer = Answer::State { name: "good", version: "2.15.1", path: "/varz" };

/// Starts a monitor; answers with its URL.
async fn monitor(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let id = url.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reader, mut writer) = stream.into_split();
            let asked = BufReader::new(reader).lines().next_line().await.unwrap().unwrap();
            match answer {
                Answer::Silence => tokio::spawn(async move {
                    std::future::pending::<()>().await;
                    drop(writer);
                }),
                Answer::Endless => tokio::spawn(async move {
                    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
                    let mut written = writer.write_all(head).await;
                    while written.is_ok() {
                        written = writer.write_all(&[b' '; 4096]).await;
                    }
                }),
                Answer::State { name, version, path } => {
                    let found = asked.starts_with(&format!("GET {path} "));
                    let status = if found { "200 OK" } else { "404 Not Found" };
                    let state = format!(
                        r#"{{"server_id":"{id}","server_name":"{name}","version":"{version}","jetstream":{{"config":{{"sync_always":true}}}}}}"#
                    );
                    let length = state.len();
                    let answer =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{state}");
                    writer.write_all(answer.as_bytes()).await.unwrap();
                    continue;
                }
            };
        }
    });
    url
}

/// Connects to a server whose cluster has these monitors, and returns why that is refused: none keeps three replicas.
async fn refusal(monitors: &[String]) -> ConnectError {
    let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
    let server = Nats::start(Sync::Always).await;
    let options = Options {
        servers: vec![server.url()],
        monitor_urls: monitors.iter().map(|url| url.parse().unwrap()).collect(),
        ..Options::default()
    };
    JetStream::connect(options).await.err().expect("it is refused")
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_also_behind_another() {
    let old = Answer::State { name: "old", version: "2.15.0", path: "/varz" };
    let refusal = refusal(&[monitor(GOOD).await, monitor(old).await]).await;
    let expected = matches!(&refusal, ConnectError::ServerTooOld { name, .. } if name == "old");
    assert!(expected, "{refusal:?}");
    assert!(!refusal.is_transient());
}

#[tokio::test]
async fn more_than_half_of_the_monitors_have_to_answer() {
    let mut monitors = vec![monitor(GOOD).await, monitor(GOOD).await];
    monitors.extend([free_address(), free_address()].map(|nobody| format!("http://{nobody}")));
    let half = refusal(&monitors).await;
    let expected = matches!(half, ConnectError::MonitorUnreachable { answered: 2, asked: 4, .. });
    assert!(expected, "{half:?}");
    assert!(half.is_transient(), "they may be starting");
    let more = refusal(&monitors[..3]).await;
    assert!(matches!(more, ConnectError::StreamRefused { .. }), "{more:?}");
}

#[tokio::test]
async fn a_monitor_that_says_nothing_is_not_waited_for_for_long() {
    let monitors = [monitor(GOOD).await, monitor(GOOD).await, monitor(Answer::Silence).await];
    let refusal = timeout(SOON, refusal(&monitors)).await.expect("in time");
    assert!(matches!(refusal, ConnectError::StreamRefused { .. }), "{refusal:?}");
}

#[tokio::test]
async fn a_monitor_may_be_below_a_path_and_is_not_read_without_end() {
    let below = Answer::State { name: "below", version: "2.15.1", path: "/nats-0/varz" };
    let with_end = format!("{}/nats-0/", monitor(below).await);
    let without = format!("{}/nats-0", monitor(below).await);
    let good = refusal(&[with_end, without, monitor(GOOD).await]).await;
    assert!(matches!(good, ConnectError::StreamRefused { .. }), "{good:?}");

    let endless = refusal(&[monitor(Answer::Endless).await]).await;
    let ConnectError::MonitorUnreachable { source, .. } = endless else { panic!("{endless:?}") };
    assert_eq!(source.to_string(), "the answer is too long");
}
