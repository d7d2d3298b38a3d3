//! TLS connections: accepted within bounds, served, and finished gracefully.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use runtime::metrics::names;
use rustls::{ServerConfig, sign::CertifiedKey};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};
use warp::Filter;

use crate::{
    connection,
    limits::{DRAIN_TIMEOUT, HANDSHAKE_TIMEOUT},
};

/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    max_connections: usize,
    stop: CancellationToken,
) where
    F: Filter<Extract = (Response<Bytes>,), Error = warp::Rejection>
        + Clone
        + Send
        + Sync
        + 'static,
    F::Future: Send,
{
    let acceptor = TlsAcceptor::from(Arc::new(tls(certificate)));
    let connections = Arc::new(Semaphore::new(max_connections));
    let open = TaskTracker::new();
    loop {
        let accepted = async {
            // Past the bound, connections wait in the listener's queue.
            let place = Arc::clone(&connections).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => break,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, _))) => {
                let (acceptor, filter) = (acceptor.clone(), filter.clone());
                open.spawn(serve(stream, acceptor, filter, stop.clone(), place));
            }
            (_, Err(error)) => {
                warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (Err(_), _) => break,
        }
    }
    drop(listener);
    open.close();
    if timeout(DRAIN_TIMEOUT, open.wait()).await.is_err() {
        warn!("connections cut off that did not finish in time");
    }
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

async fn serve<F>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    filter: F,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) where
    F: Filter<Extract = (Response<Bytes>,), Error = warp::Rejection>
        + Clone
        + Send
        + Sync
        + 'static,
    F::Future: Send,
{
    let _open = Open::count();
    // Replies are small and a client waits for each: they leave at once.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "connection without TCP_NODELAY");
    }
    let handshake = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
    let stream = match stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => stream,
        Some(Ok(Err(error))) => return debug!(%error, "TLS handshake failed"),
        Some(Err(_)) => return debug!("TLS handshake took too long"),
        // Whoever still shakes hands at the stop has asked for nothing.
        None => return,
    };
    connection::serve(stream, filter, &stop).await;
}
