//! The operations listener on a real port.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use runtime::{Health, Metrics, Process, ops};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A process that serves operations, and its address.
async fn serve(health: &Health) -> (Process, SocketAddr) {
    let process = Process::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    ops::serve(listener, health.clone(), Metrics::install().unwrap(), process.background());
    (process, address)
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path}")).await
}

async fn ask(address: SocketAddr, what: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{what} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn a_process_is_alive_before_it_is_ready() {
    let health = Health::new();
    let check = health.register("log");
    let (process, address) = serve(&health).await;
    assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    let response = get(address, "/readyz").await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert!(response.contains("\"log\":{\"ready\":false,\"reason\":\"starting\"}"), "{response}");
    check.ready();
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    process.stopper().stop();
    process.run(&health).await.unwrap();
}

#[tokio::test]
async fn a_load_balancer_may_ask_by_head() {
    let health = Health::new();
    let check = health.register("log");
    let (process, address) = serve(&health).await;
    let head = async |path: &str| ask(address, &format!("HEAD {path}")).await;
    assert!(head("/readyz").await.starts_with("HTTP/1.1 503"));
    check.ready();
    for path in ["/healthz", "/readyz"] {
        let response = head(path).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(response.ends_with("\r\n\r\n"), "{response}");
    }
    process.stopper().stop();
    process.run(&health).await.unwrap();
}

#[tokio::test]
async fn metrics_are_served_as_text() {
    let health = Health::new();
    let (process, address) = serve(&health).await;
    let response = get(address, "/metrics").await;
    assert!(response.contains("Content-Type: text/plain; version=0.0.4"), "{response}");
    assert!(response.contains("process_open_fds "), "{response}");
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
    process.stopper().stop();
    process.run(&health).await.unwrap();
}

#[tokio::test]
async fn nobody_is_given_a_tunnel() {
    let health = Health::new();
    let (process, address) = serve(&health).await;
    let response = ask(address, "CONNECT localhost:80").await;
    assert!(response.starts_with("HTTP/1.1 405"), "{response}");
    process.stopper().stop();
    process.run(&health).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_stop() {
    let health = Health::new();
    let (process, address) = serve(&health).await;
    let _idle = TcpStream::connect(address).await.unwrap();
    assert!(get(address, "/healthz").await.ends_with("ok\n"));
    process.stopper().stop();
    process.run(&health).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
