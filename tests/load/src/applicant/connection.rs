//! One persistent HTTPS connection to a server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// The name in every server's certificate.
const SERVER_NAME: &str = "localhost";
/// No reply may be longer.
const MAX_BODY_BYTES: usize = 1 << 20;
/// No reply may take longer; held ones take two seconds.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 8555 §6.1 asks for one; Pebble refuses requests without.
const USER_AGENT: HeaderValue = HeaderValue::from_static("certmill-load/1");

/// Where a server listens and how it is recognised.
#[derive(Clone)]
pub(crate) struct Origin {
    address: SocketAddr,
    host: HeaderValue,
    tls: TlsConnector,
}

impl Origin {
    /// A server on loopback whose certificate one of `roots` issued.
    pub(crate) fn new(
        address: SocketAddr,
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> anyhow::Result<Self> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        let config = ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
        Ok(Self {
            address,
            host: HeaderValue::try_from(format!("{SERVER_NAME}:{}", address.port()))?,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// A URL of this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{SERVER_NAME}:{}{path}", self.address.port())
    }
}

/// The server took a request and said nothing.
#[derive(Debug, thiserror::Error)]
#[error("no reply within {REPLY_TIMEOUT:?}")]
pub(crate) struct NoReply;

/// A connection that is opened when it is needed and again when the server has closed it.
pub(crate) struct Connection {
    origin: Origin,
    open: Option<Open>,
}

struct Open {
    requests: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

/// A complete reply.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: StatusCode,
    /// The header fields.
    pub(crate) headers: HeaderMap,
    /// The content.
    pub(crate) body: Bytes,
}

impl Reply {
    /// A header field, when it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Connection {
    /// Opens nothing yet.
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, open: None }
    }

    /// The server at the other end.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Asks for a resource without a body.
    pub(crate) async fn fetch(&mut self, method: Method, url: &str) -> anyhow::Result<Reply> {
        let request = self.request(method, url)?.body(Full::default())?;
        self.send(request).await
    }

    /// Sends a signed request.
    pub(crate) async fn post(&mut self, url: &str, jws: Vec<u8>) -> anyhow::Result<Reply> {
        let request = self
            .request(Method::POST, url)?
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/jose+json"))
            .body(Full::from(jws))?;
        self.send(request).await
    }

    fn request(&self, method: Method, url: &str) -> anyhow::Result<http::request::Builder> {
        let url: http::Uri = url.parse().with_context(|| format!("bad URL {url}"))?;
        let same_host = url.authority().is_some_and(|there| self.origin.host == there.as_str());
        let Some(path) = url.path_and_query().filter(|_| same_host) else {
            bail!("{url} is not on this server");
        };
        Ok(Request::builder()
            .method(method)
            .uri(path.as_str())
            .header(header::HOST, &self.origin.host)
            .header(header::USER_AGENT, USER_AGENT))
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Reply> {
        let reply = timeout(REPLY_TIMEOUT, self.exchange(request)).await;
        let reply = reply.map_err(|_| NoReply.into()).and_then(|reply| reply);
        if reply.is_err() {
            self.open = None;
        }
        reply
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Reply> {
        let reusable = match &mut self.open {
            Some(open) => open.requests.ready().await.is_ok(),
            None => false,
        };
        if !reusable {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            closed @ None => closed.insert(Open::connect(&self.origin).await?),
        };
        let (head, body) = open.requests.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!(error))?
            .to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

impl Open {
    async fn connect(origin: &Origin) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(origin.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(SERVER_NAME)?;
        let stream = origin.tls.connect(name, stream).await?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // An error here is also the answer to the request under way, or concerns nobody.
            let _ = connection.await;
        });
        Ok(Self { requests, _driver: AbortOnDropHandle::new(driver) })
    }
}
