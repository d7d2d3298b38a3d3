//! Connections to resolvers, one for each query, and what becomes of an answer that is none.
//!
//! A server may close a TCP connection whenever it is idle (RFC 7766 §6.2.3). The library keeps connections and learns of that
//! only by the query that fails on one; where several were opened at once, its own second try meets the next closed one.
//! Of some names it asks nobody (RFC 6761 §6), such as those below `localhost`: a resolver that was set is asked past it.

use std::{
    cell::Cell,
    future::{Ready, ready},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures::stream::{self, Stream};
use hickory_resolver::{
    ConnectionProvider, NameServerPool, PoolContext, Resolver, TlsConfig,
    config::{ConnectionConfig, NameServerConfig, ResolverOpts},
    lookup::Lookup,
    net::{
        DnsError, NetError, NoRecords,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer as _, RetryDnsHandle},
    },
    proto::{
        op::{DnsRequest, DnsRequestOptions, DnsResponse, Query, ResponseCode},
        rr::{Name, RecordType},
    },
};

use super::answer::with_aliases;
use crate::Exhausted;

/// How many questions one lookup may take, as the library has it: a CNAME leads to each but the first.
const MAX_QUERIES: usize = 8;

/// What lookups go through; it keeps no connection.
pub(super) enum Client {
    /// All of the library.
    Library(Box<Resolver<Connections>>),
    /// Its pool of servers alone, which gives no name an answer of its own.
    Servers(Servers),
}

/// Servers, and how they are asked.
pub(super) struct Servers {
    pool: RetryDnsHandle<NameServerPool<Connections>>,
    options: DnsRequestOptions,
}

impl Client {
    async fn lookup(&self, name: Name, kind: RecordType) -> Result<Lookup, NetError> {
        match self {
            Self::Library(resolver) => resolver.lookup(name, kind).await,
            Self::Servers(servers) => servers.lookup(name, kind).await,
        }
    }
}

impl Servers {
    /// Asks the servers over these connections.
    pub(super) fn new(servers: Vec<NameServerConfig>, connections: &Connections) -> Self {
        let context = Arc::clone(&connections.context);
        let set = &context.options;
        let mut options = DnsRequestOptions::default();
        options.recursion_desired = set.recursion_desired;
        options.use_edns = set.edns0;
        options.edns_payload_len = set.edns_payload_len;
        options.case_randomization = set.case_randomization;
        let attempts = set.attempts;
        let pool = NameServerPool::from_config(servers, context, connections.clone());
        Self { pool: RetryDnsHandle::new(pool, attempts), options }
    }

    /// Looks up what a name has or is an alias for; where the servers do not follow a CNAME, they are asked about its target.
    async fn lookup(&self, name: Name, kind: RecordType) -> Result<Lookup, NetError> {
        let (mut records, mut end, mut asked) = (Vec::new(), name.clone(), 0);
        loop {
            let query = Query::query(end.clone(), kind);
            let response = self.pool.lookup(query.clone(), self.options).first_answer().await?;
            let response = DnsError::from_response(response)?;
            records.extend(response.answers.iter().cloned());
            let names = with_aliases(name.clone(), &records);
            if records.iter().any(|it| it.record_type() == kind && names.contains(&it.name)) {
                return Ok(Lookup::new_with_max_ttl(Query::query(name, kind), records));
            }
            asked += 1;
            match names.into_iter().next_back() {
                Some(next) if next != end && asked < MAX_QUERIES => end = next,
                _ => return Err(NoRecords::new(query, response.response_code).into()),
            }
        }
    }
}

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
            let asking = async {
                let connected = runtime.new_connection(server, &config, &context)?.await?;
                connected.send(request).first_answer().await
            };
            let response = asking.await.inspect_err(|error| {
                if matches!(error, NetError::Io(error) if Exhausted::of(error).is_some()) {
                    *last_exhausted() = Some((Instant::now(), error.clone()));
                }
            })?;
            match response.response_code {
                code @ (ResponseCode::ServFail | ResponseCode::Refused) => {
                    // Another task may share this lookup and have it go on: it is told of a timeout.
                    let _ = UNABLE.try_with(|unable| unable.set(Some(code)));
                    Err(NetError::Timeout)
                }
                _ => Ok(response),
            }
        }))
    }
}

tokio::task_local! {
    /// What a server said to this lookup that cannot answer it.
    static UNABLE: Cell<Option<ResponseCode>>;
}

/// When the process last had nothing left to ask a server with, and what was missing.
///
/// To the library such a server cannot be reached, and an answer whose DNSSEC keys could not be asked for is forged. Of two
/// equal questions at once, as for a name and its wildcard, it asks one, so a lookup cannot know it from its own task.
static LAST_EXHAUSTED: Mutex<Option<(Instant, NetError)>> = Mutex::new(None);

fn last_exhausted() -> MutexGuard<'static, Option<(Instant, NetError)>> {
    LAST_EXHAUSTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the servers until one answers.
///
/// That a server cannot answer (SERVFAIL, REFUSED) is the answer to the library, whatever the others would say. A timeout
/// is what has it wait for them, as the system's own resolver does; if none could answer, the code is told after all.
/// Whatever fails while the process has nothing left to ask with is told as that.
pub(super) async fn lookup(
    client: &Client,
    name: Name,
    kind: RecordType,
) -> Result<Lookup, NetError> {
    let started = Instant::now();
    let asking = async {
        let answer = client.lookup(name, kind).await;
        answer.map_err(|error| match (UNABLE.with(Cell::get), error) {
            (Some(code), NetError::Timeout) => DnsError::ResponseCode(code).into(),
            (_, error) => error,
        })
    };
    let answer = UNABLE.scope(Cell::new(None), asking).await;
    answer.map_err(|error| match &*last_exhausted() {
        Some((at, exhausted)) if *at >= started => exhausted.clone(),
        Some(_) | None => error,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use hickory_resolver::{
        config::ResolverConfig,
        proto::{
            op::Message,
            rr::{RData, Record, rdata::A},
        },
    };
    use tokio::net::UdpSocket;

    use super::*;

    const ADDRESS: RData = RData::A(A(Ipv4Addr::new(192, 0, 2, 1)));

    async fn socket(last: u8) -> UdpSocket {
        UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 0)).await.unwrap()
    }

    async fn query(socket: &UdpSocket) -> (Message, SocketAddr) {
        let mut octets = [0; 1024];
        let (length, client) = socket.recv_from(&mut octets).await.unwrap();
        (Message::from_vec(&octets[..length]).unwrap().into_response(), client)
    }

    fn config(socket: &UdpSocket) -> NameServerConfig {
        let address = socket.local_addr().unwrap();
        let mut connection = ConnectionConfig::udp();
        connection.port = address.port();
        NameServerConfig::new(address.ip(), true, vec![connection])
    }

    #[tokio::test]
    async fn a_server_that_answers_is_heard_beside_one_that_cannot() {
        let name = Name::from_ascii("a.example.").unwrap();
        for code in [ResponseCode::Refused, ResponseCode::ServFail] {
            let (unable, able) = (socket(1).await, socket(2).await);
            let config = ResolverConfig::from_name_servers(vec![config(&unable), config(&able)]);
            let connections = Connections::new(ResolverOpts::default()).unwrap();
            let resolver = Resolver::builder_with_config(config, connections).build().unwrap();
            let resolver = Client::Library(Box::new(resolver));
            let serve = async {
                let (mut denial, client) = query(&unable).await;
                let (mut answer, other) = query(&able).await;
                denial.metadata.response_code = code;
                unable.send_to(&denial.to_vec().unwrap(), client).await.unwrap();
                // What comes first is looked at first.
                tokio::task::yield_now().await;
                let name = answer.queries[0].name().clone();
                answer.add_answer(Record::from_rdata(name, 60, ADDRESS));
                able.send_to(&answer.to_vec().unwrap(), other).await.unwrap();
            };
            let (found, ()) = tokio::join!(lookup(&resolver, name.clone(), RecordType::A), serve);
            assert_eq!(found.unwrap().answers()[0].data, ADDRESS, "{code}");
        }
    }
}
