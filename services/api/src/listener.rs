//! TLS connections: accepted within bounds, served, and finished gracefully.

use std::sync::Arc;

use runtime::{
    http::{self, Bounds},
    metrics::names,
};
use rustls::{ServerConfig, sign::CertifiedKey};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use warp::{Filter, Reply};

use crate::limits::{ARRIVAL_TIMEOUT, DRAIN_TIMEOUT, HANDSHAKE_TIMEOUT};

/// The certificate the server shows; a new one can be put in its place while connections are open.
#[derive(Clone, Debug)]
pub struct ServerCertificate(watch::Receiver<Arc<CertifiedKey>>);

impl ServerCertificate {
    /// Takes the certificate and all that follow it from a channel.
    pub fn new(certificates: watch::Receiver<Arc<CertifiedKey>>) -> Self {
        Self(certificates)
    }
}

impl rustls::server::ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.borrow()))
    }
}

/// Accepts connections until told to stop, then lets those that are open finish.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    filter: F,
    certificate: ServerCertificate,
    connections: usize,
    stop: CancellationToken,
) where
    F: Filter<Extract: Reply, Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let acceptor = TlsAcceptor::from(Arc::new(tls(certificate)));
    let bounds = Bounds { connections, drain: DRAIN_TIMEOUT };
    let serve = |stream| serve(stream, acceptor.clone(), filter.clone(), stop.clone());
    http::accept(listener, bounds, &stop, serve).await;
}

fn tls(certificate: ServerCertificate) -> ServerConfig {
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = ["h2", "http/1.1", "http/1.0"].map(Vec::from).to_vec();
    config
}

/// Counts a connection as open while it lives.
struct Open;

impl Open {
    fn count() -> Self {
        metrics::gauge!(names::HTTP_CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!(names::HTTP_CONNECTIONS).decrement(1.0);
    }
}

async fn serve<F>(stream: TcpStream, acceptor: TlsAcceptor, filter: F, stop: CancellationToken)
where
    F: Filter<Extract: Reply, Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let _open = Open::count();
    let stream = tokio::select! {
        accepted = acceptor.accept(stream) => match accepted {
            Ok(stream) => stream,
            Err(error) => return debug!(%error, "TLS handshake failed"),
        },
        () = too_long(&stop) => return debug!("TLS handshake took too long"),
    };
    http::serve(stream, filter, &stop, ARRIVAL_TIMEOUT).await;
}

/// Waits for as long as a handshake may take. A request comes right behind it, so the stop leaves it a moment.
async fn too_long(stop: &CancellationToken) {
    if timeout(HANDSHAKE_TIMEOUT, stop.cancelled()).await.is_ok() {
        sleep(ARRIVAL_TIMEOUT).await;
    }
}
