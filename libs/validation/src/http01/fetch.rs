//! One HTTP request to one pinned address.

use std::{error::Error as StdError, future, io, iter, net::SocketAddr, sync::Arc};

use reqwest::{
    Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONNECTION, HeaderValue},
    redirect, retry,
};
use url::Url;

use crate::{Exhausted, Settings, SettingsError};

const USER_AGENT: &str = concat!("certmill-validation/", env!("CARGO_PKG_VERSION"));

tokio::task_local! {
    /// The address the request of this task goes to, whatever its URL says.
    static PINNED: SocketAddr;
}

/// The resolver of the HTTP client: it knows only the pinned address.
struct Pin;

impl Resolve for Pin {
    fn resolve(&self, _: Name) -> Resolving {
        let pinned = PINNED.try_with(|address| Box::new(iter::once(*address)) as Addrs);
        Box::pin(future::ready(pinned.map_err(|_| NotPinned.into())))
    }
}

/// A request without a pinned address, which goes nowhere.
#[derive(Debug, thiserror::Error)]
#[error("no address is pinned")]
struct NotPinned;

/// The HTTP client of all validations: keeps no connection, cookie or other state between requests.
pub(crate) struct WebClient(Client);

/// Why there was no response, as far as it can be told to an applicant.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum FetchError {
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("the connection was refused")]
    ConnectionRefused,
    #[error("no connection could be made")]
    NotConnected,
    #[error("no connection could be made from here")]
    Exhausted(Exhausted),
    #[error("the TLS handshake failed")]
    Tls,
    #[error("the response took too long")]
    ResponseTimeout,
    #[error("the response is broken or not HTTP, or its headers are too large")]
    NotHttp,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It is longer than a right one can be.
    TooLong,
    /// It ended too early or came too slowly.
    Broken(FetchError),
}

impl WebClient {
    /// Sets up the client once; that costs more than a request.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SettingsError::NoCryptoProvider);
        }
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .dns_resolver(Arc::new(Pin))
            // A pooled connection would go round the pinned address, and a connection begun for one task could be
            // finished for another.
            .pool_max_idle_per_host(0)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            // RFC 8555 §8.3 trusts DNS and the network, not certificates: applicants are here to get one.
            .tls_danger_accept_invalid_certs(true)
            // No connection lives longer than its request may take.
            .tcp_keepalive(None)
            .tcp_user_timeout(None)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout)
            .build()
            .map_err(SettingsError::HttpClient)?;
        Ok(Self(client))
    }

    /// Sends a GET request for the URL to the address; the response's body is still to be read.
    ///
    /// hyper refuses a response head of more than 100 headers or about 400 KiB.
    pub(super) async fn get(&self, url: &Url, address: SocketAddr) -> Result<Response, FetchError> {
        let request = self.0.get(url.clone()).header(CONNECTION, HeaderValue::from_static("close"));
        PINNED.scope(address, request.send()).await.map_err(|error| FetchError::of(&error, address))
    }
}

/// Reads a body of at most `max_bytes`; what comes after them is never received.
pub(super) async fn body(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > max_bytes => {
                return Err(BodyError::TooLong);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(BodyError::Broken(FetchError::from(&error))),
        }
    }
}

impl FetchError {
    /// Whether the address could not be connected to, so that another one may be tried.
    pub(super) fn before_connected(self) -> bool {
        match self {
            Self::ConnectTimeout | Self::ConnectionRefused | Self::NotConnected => true,
            Self::Exhausted(_) | Self::Tls | Self::ResponseTimeout | Self::NotHttp => false,
        }
    }

    /// Why a request to the address got no response.
    fn of(error: &reqwest::Error, address: SocketAddr) -> Self {
        let mut connecting = causes(error).filter_map(|cause| cause.downcast_ref());
        let exhausted = connecting.find_map(|cause| Exhausted::of_connecting(cause, address.ip()));
        exhausted.map_or_else(|| Self::from(error), Self::Exhausted)
    }
}

impl From<&reqwest::Error> for FetchError {
    fn from(error: &reqwest::Error) -> Self {
        tracing::debug!(?error, "request failed");
        let refused = |cause: &io::Error| cause.kind() == io::ErrorKind::ConnectionRefused;
        if causes(error).any(|cause| cause.is::<rustls::Error>()) {
            Self::Tls
        } else if error.is_connect() && error.is_timeout() {
            Self::ConnectTimeout
        } else if error.is_timeout() {
            Self::ResponseTimeout
        } else if causes(error).any(|cause| cause.downcast_ref().is_some_and(refused)) {
            Self::ConnectionRefused
        } else if error.is_connect() {
            Self::NotConnected
        } else {
            Self::NotHttp
        }
    }
}

/// What led to an error, with what IO errors wrap: TLS errors come wrapped twice, and `source` skips what is wrapped.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source())
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinSet,
    };

    use super::*;

    fn client() -> WebClient {
        let _ = rustls::crypto::ring::default_provider().install_default();
        WebClient::new(&Settings::default()).unwrap()
    }

    /// Answers one request with the address it came to.
    async fn answer_once(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let own = stream.local_addr().unwrap().to_string();
        let length = own.len();
        stream.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{own}");
        stream.write_all(response.as_bytes()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn parallel_requests_of_one_host_never_share_an_address() {
        let client = Arc::new(client());
        let mut requests = JoinSet::new();
        for last in 1..=32 {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(answer_once(listener));
            let client = client.clone();
            requests.spawn(async move {
                let url = format!("http://a.example:{}/", address.port()).parse().unwrap();
                let response = client.get(&url, address).await.unwrap();
                (address.to_string(), body(response, 100).await.unwrap())
            });
        }
        for (address, answered) in requests.join_all().await {
            assert_eq!(address.as_bytes(), answered);
        }
    }

    #[tokio::test]
    async fn a_request_that_is_not_pinned_goes_nowhere() {
        let error = client().0.get("http://localhost:1/").send().await.unwrap_err();
        assert!(causes(&error).any(|cause| cause.is::<NotPinned>()), "{error:?}");
    }
}
