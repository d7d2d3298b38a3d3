//! The web server that answers http-01 challenges of all names (RFC 8555 §8.3).

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::free_port;

const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// What the answer to a request depends on.
#[derive(Clone)]
struct Visitors {
    directory: Arc<Path>,
    open: watch::Receiver<bool>,
    requests: Arc<watch::Sender<u32>>,
}

/// A running server; it stops when it is dropped. Each answer is a file, so that any client can put one there.
pub struct ChallengeServer {
    port: u16,
    files: TempDir,
    gate: watch::Sender<bool>,
    asked: watch::Receiver<u32>,
    _listeners: Vec<AbortOnDropHandle<()>>,
}

impl ChallengeServer {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_at(&[IpAddr::V4(Ipv4Addr::LOCALHOST)]).await
    }

    /// Listens at this machine's IPv6 address only.
    ///
    /// # Errors
    /// When there is no port, or no IPv6.
    pub async fn start_on_ipv6() -> anyhow::Result<Self> {
        Self::start_at(&[IpAddr::V6(Ipv6Addr::LOCALHOST)]).await
    }

    /// Listens at this machine's IPv4 and IPv6 addresses.
    ///
    /// # Errors
    /// When there is no port, or no IPv6.
    pub async fn start_on_both() -> anyhow::Result<Self> {
        Self::start_at(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]).await
    }

    async fn start_at(addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let port = free_port()?;
        let files = TempDir::new()?;
        let (gate, open) = watch::channel(true);
        let (requests, asked) = watch::channel(0);
        let visitors = Visitors { directory: files.path().into(), open, requests: requests.into() };
        let mut listeners = Vec::new();
        for address in addresses {
            let listener = TcpListener::bind((*address, port)).await?;
            let listening = tokio::spawn(listen(listener, visitors.clone()));
            listeners.push(AbortOnDropHandle::new(listening));
        }
        Ok(Self { port, files, gate, asked, _listeners: listeners })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the answer for a token is a file with the token's name.
    pub fn directory(&self) -> &Path {
        self.files.path()
    }

    /// Answers for a token from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn answer(&self, token: &str, key_authorization: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.files.path().join(token), key_authorization)?)
    }

    /// Keeps every request waiting from now on.
    pub fn close_gate(&self) {
        self.gate.send_replace(false);
    }

    /// Waits until so many requests have come since the start.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn until_asked(&self, times: u32) -> anyhow::Result<()> {
        self.asked.clone().wait_for(|count| *count >= times).await?;
        Ok(())
    }

    /// Answers the requests that wait and all others.
    pub fn open_gate(&self) {
        self.gate.send_replace(true);
    }
}

async fn listen(listener: TcpListener, visitors: Visitors) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(serve(stream, visitors.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, visitors: Visitors) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let file = answer_file(request.uri().path(), &visitors.directory);
        let Visitors { mut open, requests, .. } = visitors.clone();
        async move {
            requests.send_modify(|count| *count += 1);
            // The sender is dropped with the server, and then nobody needs an answer.
            let _ = open.wait_for(|open| *open).await;
            Ok::<_, Infallible>(reply(file))
        }
    });
    // A validator that hangs up says so in the status of its challenge.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

fn answer_file(path: &str, directory: &Path) -> Option<PathBuf> {
    let token = path.strip_prefix(CHALLENGE_PATH)?;
    let is_token = token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (is_token && !token.is_empty()).then(|| directory.join(token))
}

fn reply(file: Option<PathBuf>) -> Response<Full<Bytes>> {
    match file.and_then(|file| std::fs::read(file).ok()) {
        Some(content) => Response::new(Full::new(content.into())),
        None => {
            let mut reply = Response::new(Full::default());
            *reply.status_mut() = StatusCode::NOT_FOUND;
            reply
        }
    }
}
