//! The web server that answers http-01 challenges of all names (RFC 8555 §8.3).

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// A running responder; it stops with its last handle.
#[derive(Clone)]
pub(crate) struct Responder {
    address: SocketAddr,
    key_authorizations: KeyAuthorizations,
    _listener: Arc<AbortOnDropHandle<()>>,
}

/// The key authorization for each token.
type KeyAuthorizations = Arc<Mutex<HashMap<String, Bytes>>>;

impl Responder {
    /// Listens on a free port of loopback.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let key_authorizations = KeyAuthorizations::default();
        let listener = tokio::spawn(listen(listener, Arc::clone(&key_authorizations)));
        let listener = Arc::new(AbortOnDropHandle::new(listener));
        Ok(Self { address, key_authorizations, _listener: listener })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for the token from now on.
    pub(super) fn answer(&self, token: &str, thumbprint: &str) {
        let key_authorization = Bytes::from(format!("{token}.{thumbprint}"));
        self.lock().insert(token.to_owned(), key_authorization);
    }

    /// Answers for the token no more.
    pub(super) fn forget(&self, token: &str) {
        self.lock().remove(token);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        // A map of whole entries is usable whoever panicked with it.
        self.key_authorizations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(listener: TcpListener, key_authorizations: KeyAuthorizations) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // Out of descriptors or a connection gone already: the next one may be well.
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(serve(stream, Arc::clone(&key_authorizations)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, key_authorizations: KeyAuthorizations) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let reply = reply(request.uri().path(), &key_authorizations);
        async { Ok::<_, Infallible>(reply) }
    });
    // One request a connection, so that every server opens one for each validation, as it would for hosts that differ.
    let connection =
        http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer);
    // A validator that hangs up says so in the status of its challenge.
    let _ = connection.await;
}

fn reply(path: &str, key_authorizations: &KeyAuthorizations) -> Response<Full<Bytes>> {
    let known = path.strip_prefix(CHALLENGE_PATH).and_then(|token| {
        key_authorizations.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    });
    let Some(key_authorization) = known else {
        let mut reply = Response::new(Full::default());
        *reply.status_mut() = StatusCode::NOT_FOUND;
        return reply;
    };
    Response::new(Full::new(key_authorization))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn only_a_token_that_is_being_validated_is_answered() {
        let responder = Responder::start().await.expect("a responder");
        responder.answer("token", "thumbprint");
        let path = format!("{CHALLENGE_PATH}token");
        let answered = reply(&path, &responder.key_authorizations);
        let body = answered.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, "token.thumbprint");

        responder.forget("token");
        let gone = reply(&path, &responder.key_authorizations);
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    }
}
