//! A load balancer as simple as they come: each connection goes to the next backend.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::ports::loopback;

/// A running proxy; it stops when it is dropped.
pub struct RoundRobinProxy {
    _listener: AbortOnDropHandle<()>,
}

impl RoundRobinProxy {
    /// Listens on a port and passes connections on to the backends in turn, leaving out those that do not answer.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, backends: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(loopback(port)).await?;
        let listener = tokio::spawn(listen(listener, backends.into()));
        Ok(Self { _listener: AbortOnDropHandle::new(listener) })
    }
}

async fn listen(listener: TcpListener, backends: Arc<[SocketAddr]>) {
    let mut connections = JoinSet::new();
    for turn in 0_usize.. {
        // A connection that is gone already says nothing about the next one.
        let Ok((client, _)) = listener.accept().await else { continue };
        connections.spawn(pass_on(client, Arc::clone(&backends), turn));
        while connections.try_join_next().is_some() {}
    }
}

async fn pass_on(mut client: TcpStream, backends: Arc<[SocketAddr]>, turn: usize) {
    for attempt in 0..backends.len() {
        let backend = backends[(turn + attempt) % backends.len()];
        if let Ok(mut server) = TcpStream::connect(backend).await {
            // Either side may hang up; the other one sees it.
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
