//! The ACME front: a request is routed, authenticated, decided, appended and answered with the state just decided.
//!
//! One request is read file by file: `listener` → `service` → `routes` → `dispatch` → the resource's file, which begins
//! with `authenticate` → `reply` or `problem` → `response`.

mod account;
mod authenticate;
mod authorization;
mod certificate;
mod challenge;
mod crl;
mod directory;
mod dispatch;
mod finalize;
mod hold;
mod identifiers;
mod keys;
mod limits;
mod listener;
mod nonce;
mod ocsp;
mod openapi;
mod order;
mod pre_authorization;
mod problem;
mod random;
mod reply;
mod request;
mod response;
mod revocation;
mod routes;
mod service;
mod settings;
mod terms;
mod urls;

use std::{net::SocketAddr, sync::Arc};

use eventstore::{Calls, Wakes};
use readmodel::{Admission, Aggregates};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

pub use listener::ServerCertificate;
pub use openapi::openapi;
pub use settings::Settings;

/// What an api node works with.
#[derive(Clone)]
pub struct Ports {
    /// The event log and the views over it.
    pub aggregates: Aggregates,
    /// Nonces, and the one round trip of a request.
    pub admission: Arc<dyn Admission>,
    /// News from the workers for requests that wait.
    pub wakes: Arc<dyn Wakes>,
    /// Asks the signer what only it can answer.
    pub calls: Arc<dyn Calls>,
}

/// What every request is answered from.
struct Api {
    settings: Settings,
    ports: Ports,
    holds: Arc<hold::Holds>,
    kept_crls: crl::Kept,
    kept_ocsp: ocsp::Kept,
    pre_authorization_rate: pre_authorization::rate::Rate,
    /// Cancelled when a stop waits for answers no longer: what is still under way is answered with 503.
    overdue: CancellationToken,
}

/// Serves ACME on the listener until told to stop, then finishes the requests under way; those that take too long are
/// answered with 503.
///
/// # Errors
/// When the listener's address cannot be read.
pub async fn run(
    settings: Settings,
    ports: Ports,
    certificate: ServerCertificate,
    listener: TcpListener,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let address: SocketAddr = listener.local_addr()?;
    tracing::info!(%address, base_url = settings.urls.base(), "ACME listener ready");
    let holds = Arc::new(hold::Holds::new(settings.hold, settings.max_held, stop.clone()));
    let listening = tokio::spawn(hold::listen(Arc::clone(&holds), ports.wakes.subscribe()));
    let overdue = CancellationToken::new();
    let timing = tokio::spawn(cancel_overdue(stop.clone(), overdue.clone()));
    let limits = settings.connections;
    let api = Arc::new(Api {
        settings,
        ports,
        holds,
        kept_crls: crl::Kept::default(),
        kept_ocsp: ocsp::Kept::default(),
        pre_authorization_rate: pre_authorization::rate::Rate::default(),
        overdue,
    });
    listener::accept(listener, service::service(api), certificate, limits, stop).await;
    listening.abort();
    timing.abort();
    Ok(())
}

async fn cancel_overdue(stop: CancellationToken, overdue: CancellationToken) {
    stop.cancelled().await;
    sleep(limits::ANSWER_TIMEOUT).await;
    overdue.cancel();
}
