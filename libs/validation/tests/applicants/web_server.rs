//! A web server that sends whatever octets a test wants, with or without TLS.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// How fast a slow server sends single octets.
const DRIP: Duration = Duration::from_millis(20);

/// What the server does with a request.
pub(crate) enum Reply {
    /// Sends the octets and closes.
    Octets(Vec<u8>),
    /// Sends the first octets, then the second ones again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends the first octets, then one `x` after the other, slowly.
    Drip(Vec<u8>),
    /// Sends nothing.
    Hang,
}

impl Reply {
    pub(crate) fn body(body: &str) -> Self {
        Self::status(200, "", body)
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::status(302, &format!("Location: {location}\r\n"), "moved")
    }

    pub(crate) fn status(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n");
        Self::Octets((head + body).into_bytes())
    }
}

type Handler = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// A running server; stops when dropped.
pub(crate) struct WebServer {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl WebServer {
    /// Starts a server whose handler gets the path of each request.
    pub(crate) async fn start(handler: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Ipv4Addr::LOCALHOST, None, Arc::new(handler)).await
    }

    /// The same on another loopback address.
    pub(crate) async fn start_at(
        address: Ipv4Addr,
        handler: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(address, None, Arc::new(handler)).await
    }

    /// The same on the IPv6 loopback address.
    pub(crate) async fn start_on_v6(
        handler: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Ipv6Addr::LOCALHOST, None, Arc::new(handler)).await
    }

    /// Starts a server with a self-signed certificate for another name.
    pub(crate) async fn start_tls(handler: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let issued =
            rcgen::generate_simple_self_signed(vec!["elsewhere.example".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key.into())
            .unwrap();
        Self::listen(Ipv4Addr::LOCALHOST, Some(Arc::new(config).into()), Arc::new(handler)).await
    }

    /// Starts a server that sends the octets without waiting for a request.
    pub(crate) async fn start_greeting(greeting: &'static [u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(greeting).await.unwrap();
                // Closing before the request is read would reset the connection and lose the greeting.
                let _ = stream.read(&mut [0; 4096]).await;
            }
        });
        Self { port, requests: Arc::default(), task }
    }

    async fn listen(
        address: impl Into<IpAddr>,
        tls: Option<TlsAcceptor>,
        handler: Handler,
    ) -> Self {
        let listener = TcpListener::bind(SocketAddr::new(address.into(), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, tls, handler, requests.clone()));
        Self { port, requests, task }
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, handler, requests) = (tls.clone(), handler.clone(), requests.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, handler, requests).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, handler, requests).await,
                    Err(error) => Err(error),
                },
            }
        });
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: Handler,
    requests: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    requests.lock().unwrap().push(head);
    match handler(&path) {
        Reply::Octets(octets) => stream.write_all(&octets).await?,
        Reply::Endless(first, again) => {
            stream.write_all(&first).await?;
            loop {
                stream.write_all(&again).await?;
            }
        }
        Reply::Drip(first) => {
            stream.write_all(&first).await?;
            let mut pace = tokio::time::interval(DRIP);
            loop {
                pace.tick().await;
                stream.write_all(b"x").await?;
            }
        }
        Reply::Hang => std::future::pending().await,
    }
    stream.shutdown().await
}
