//! Connections to resolvers: one for each query.
//!
//! A server may close a TCP connection whenever it is idle (RFC 7766 §6.2.3). The library keeps connections and learns of that
//! only by the query that fails on one; where several were opened at once, its own second try meets the next closed one.

use std::{
    future::{Ready, ready},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
};

use futures::stream::{self, Stream};
use hickory_resolver::{
    ConnectionProvider, PoolContext, TlsConfig,
    config::{ConnectionConfig, ResolverOpts},
    net::{
        NetError,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer as _},
    },
    proto::op::{DnsRequest, DnsResponse},
};

/// Makes handles that connect for each query.
#[derive(Clone)]
pub(super) struct Connections {
    runtime: TokioRuntimeProvider,
    context: Arc<PoolContext>,
}

/// What the library takes for a connection: an address, and how it is asked.
#[derive(Clone)]
pub(super) struct Connection {
    server: IpAddr,
    config: ConnectionConfig,
    connections: Connections,
}

impl Connections {
    /// Connections with the timeouts of the options.
    pub(super) fn new(options: ResolverOpts) -> Result<Self, NetError> {
        let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
        Ok(Self { runtime: TokioRuntimeProvider::default(), context })
    }
}

impl ConnectionProvider for Connections {
    type Conn = Connection;
    type FutureConn = Ready<Result<Connection, NetError>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        server: IpAddr,
        config: &ConnectionConfig,
        _: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let connections = self.clone();
        Ok(ready(Ok(Connection { server, config: config.clone(), connections })))
    }

    fn runtime_provider(&self) -> &Self::RuntimeProvider {
        &self.runtime
    }
}

impl DnsHandle for Connection {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let Self { server, config, connections } = self.clone();
        Box::pin(stream::once(async move {
            let Connections { runtime, context } = connections;
            let connected = runtime.new_connection(server, &config, &context)?.await?;
            connected.send(request).first_answer().await
        }))
    }
}
