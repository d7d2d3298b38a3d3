//! From warp's filter to a request with its body, and from a reply to a response with the headers every one has.

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use domain::OrderId;
use futures::{FutureExt as _, Stream, StreamExt as _, pin_mut};
use http::{HeaderMap, Method, Response, StatusCode};
use runtime::metrics::names;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument as _, Span, info_span};
use warp::{Filter, filters::path::FullPath};

use crate::{
    Api, dispatch,
    limits::{DISCARD_TIMEOUT, MAX_DISCARDED_BYTES},
    problem::Refusal,
    random,
    reply::Reply,
    request::Request,
    response,
    routes::{Resource, Route},
};

/// The filter that takes every request. Routing is a table of ours: chains of `or` filters compile in minutes and
/// cannot say which methods a path allows.
pub(crate) fn service(
    api: Arc<Api>,
) -> impl Filter<Extract = (Response<Bytes>,), Error = warp::Rejection> + Clone {
    warp::method()
        .and(warp::path::full())
        .and(
            warp::query::raw()
                .or_else(|_| std::future::ready(Ok::<_, warp::Rejection>((String::new(),)))),
        )
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method, path, query, headers, body| {
            let api = Arc::clone(&api);
            async move { answer(&api, (method, path, query, headers), body).await }
        })
}

/// A request before its body has arrived.
struct Head {
    id: String,
    deadline: Instant,
    order: Option<OrderId>,
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Head {
    /// The request, now that its body has arrived.
    fn with_body(self, body: Bytes) -> Request {
        let Self { id, deadline, order, method, path, query, headers } = self;
        Request { id, deadline, order, method, path, query, headers, body }
    }
}

async fn answer<B: Buf>(
    api: &Api,
    (method, path, query, headers): (Method, FullPath, String, HeaderMap),
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Response<Bytes> {
    let started = Instant::now();
    let route = Route::find(&api.settings, path.as_str(), &query);
    let id = random::request_id().unwrap_or_default();
    let order = order_of(api, &route);
    let span = info_span!("request", otel.name = route.name(), %method, request = %id);
    join_traces(&span, order.as_ref(), &headers);
    let respond = |outcome| response::respond(api, &route, &method, outcome);
    let (deadline, path) = (started + api.settings.request_timeout, path.as_str().to_owned());
    let head = Head { id, deadline, order, method: method.clone(), path, query, headers };
    let handling = async { respond(handle(api, &route, head, body).await).await };
    let answering = async {
        // A panic is a bug, but one client's request must not take the others' connection down with it.
        match AssertUnwindSafe(handling).catch_unwind().await {
            Ok(response) => response,
            Err(_) => respond(Err(Refusal::Internal("a handler panicked".into()))).await,
        }
    };
    let response = answering.instrument(span).await;
    count(route.name(), response.status(), started);
    response
}

/// Reads the body and handles the request, by its deadline and before a stop stops waiting for answers.
///
/// What is under way then is dropped, as it is when the client hangs up: a client that tries again finds what became of it.
async fn handle<B: Buf>(
    api: &Api,
    route: &Route,
    head: Head,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Result<Reply, Refusal> {
    let deadline = head.deadline;
    let handling = async {
        let body = read_body(body, api.settings.max_body_bytes, deadline).await?;
        let request = head.with_body(body);
        let handled = timeout_at(deadline, dispatch::handle(api, route, &request)).await;
        handled.unwrap_or_else(|_| Err(Refusal::Unavailable("the answer took too long".into())))
    };
    let handled = api.overdue.run_until_cancelled(handling).await;
    handled.unwrap_or_else(|| Err(Refusal::Unavailable("the server stops".into())))
}

/// Makes the request part of its order's trace, and links it to its client's.
fn join_traces(span: &Span, order: Option<&OrderId>, headers: &HeaderMap) {
    if let Some(order) = order {
        runtime::telemetry::set_order_trace(span, order.random_bits());
    }
    if let Some(theirs) = headers.get("traceparent").and_then(|value| value.to_str().ok()) {
        runtime::telemetry::link_to(span, theirs);
    }
}

/// The order that a request is about: known before it is handled, so that the whole request is part of its trace.
fn order_of(api: &Api, route: &Route) -> Option<OrderId> {
    match route {
        Route::Acme(_, Resource::NewOrder) => random::order_id(api.settings.order_shards).ok(),
        Route::Acme(_, resource) => resource.order().cloned(),
        Route::Absent(_) | Route::Crl(_) | Route::Ocsp(_) => None,
    }
}

fn count(resource: &'static str, status: StatusCode, started: Instant) {
    let labels = [("resource", resource.to_owned()), ("status", status.as_u16().to_string())];
    metrics::counter!(names::HTTP_REQUESTS, &labels).increment(1);
    metrics::histogram!(names::HTTP_REQUEST_SECONDS, "resource" => resource)
        .record(started.elapsed().as_secs_f64());
}

/// Reads a body, whether its length was announced or not, up to its deadline or to what is too much.
async fn read_body<B: Buf>(
    stream: impl Stream<Item = Result<B, warp::Error>>,
    max_bytes: usize,
    deadline: Instant,
) -> Result<Bytes, Refusal> {
    pin_mut!(stream);
    let mut body = BytesMut::new();
    while let Some(chunk) =
        timeout_at(deadline, stream.next()).await.map_err(|_| Refusal::TooSlow)?
    {
        let mut chunk = chunk.map_err(|_| Refusal::BodyInterrupted)?;
        if body.len() + chunk.remaining() > max_bytes {
            // However it ends, the answer is the same.
            let _ = timeout(DISCARD_TIMEOUT, discard(stream)).await;
            return Err(Refusal::BodyTooLarge);
        }
        while chunk.has_remaining() {
            let part = chunk.chunk().len();
            body.extend_from_slice(chunk.chunk());
            chunk.advance(part);
        }
    }
    Ok(body.freeze())
}

/// Reads the rest and throws it away: a client that still sends when its connection is closed may lose the answer.
async fn discard<B: Buf>(mut stream: impl Stream<Item = Result<B, warp::Error>> + Unpin) {
    let mut discarded = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        discarded += chunk.remaining();
        if discarded > MAX_DISCARDED_BYTES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    async fn read(sent: &'static [u8]) -> Result<Bytes, Refusal> {
        let chunks = stream::iter([Ok(Bytes::from_static(sent))]).chain(stream::pending());
        let deadline = Instant::now() + DISCARD_TIMEOUT / 2;
        read_body(chunks, 4, deadline).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_too_large_is_not_called_slow_where_its_client_falls_silent() {
        assert!(matches!(read(b"12345").await, Err(Refusal::BodyTooLarge)));
        assert!(matches!(read(b"1234").await, Err(Refusal::TooSlow)));
    }

    #[tokio::test]
    async fn what_is_read_for_nothing_is_bounded() {
        let (chunk, mut asked) = (vec![0; 1024], 0);
        let endless = stream::iter(0..10 * MAX_DISCARDED_BYTES / chunk.len()).map(|_| {
            asked += 1;
            Ok(Bytes::copy_from_slice(&chunk))
        });
        let read = read_body(endless, 4, Instant::now() + DISCARD_TIMEOUT).await;
        assert!(matches!(read, Err(Refusal::BodyTooLarge)));
        // The first is what was too much.
        assert_eq!(asked, 1 + MAX_DISCARDED_BYTES / chunk.len() + 1);
    }
}
