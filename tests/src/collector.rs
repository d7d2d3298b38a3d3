//! A collector of traces that keeps what it is sent (OTLP over HTTP).

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;

use crate::{free_port, ports::loopback};

type Exports = Arc<Mutex<Vec<Bytes>>>;

/// A running collector; it stops when it is dropped.
pub struct Collector {
    port: u16,
    exports: Exports,
    _listener: AbortOnDropHandle<()>,
}

impl Collector {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> anyhow::Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind(loopback(port)).await?;
        let exports = Exports::default();
        let listener = tokio::spawn(listen(listener, Arc::clone(&exports)));
        Ok(Self { port, exports, _listener: AbortOnDropHandle::new(listener) })
    }

    /// Where traces are to be sent.
    pub fn url(&self) -> String {
        format!("http://{}/v1/traces", loopback(self.port))
    }

    /// Whether a process that plays a role has sent a span of a trace, whose id is given in hexadecimal.
    ///
    /// Ids and names stand in the protobuf messages as they are.
    pub fn has(&self, role: &str, trace: &str) -> bool {
        let trace: Vec<u8> = (0..trace.len() / 2)
            .filter_map(|octet| u8::from_str_radix(trace.get(2 * octet..2 * octet + 2)?, 16).ok())
            .collect();
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        exports.iter().any(|export| contains(export, role.as_bytes()) && contains(export, &trace))
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn listen(listener: TcpListener, exports: Exports) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let exports = Arc::clone(&exports);
        let keep = service_fn(move |request: Request<Incoming>| {
            let exports = Arc::clone(&exports);
            async move {
                // An exporter that hangs up sends the rest again.
                if let Ok(body) = request.into_body().collect().await {
                    let mut exports = exports.lock().unwrap_or_else(PoisonError::into_inner);
                    exports.push(body.to_bytes());
                }
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), keep));
        while connections.try_join_next().is_some() {}
    }
}
