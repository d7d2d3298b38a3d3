//! One connection: served as long as requests come, and never kept for a client that is silent.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::service::{Service as _, service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    pin,
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use warp::{
    Filter, Reply,
    http::{HeaderValue, Request, StatusCode, Uri, Version, header::CONNECTION},
};

use super::host::names_one_host;

/// How long a connection without a request under way is kept, and how long it may send request headers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last reply of a connection that ends may take to leave.
const LINGER_TIMEOUT: Duration = Duration::from_mins(2);
/// The most header lines of a request.
const MAX_HEADERS: usize = 64;
/// The most bytes of all header lines of a request.
const MAX_HEADER_BYTES: u16 = 16 * 1024;
/// The most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;

/// Serves HTTP until the client leaves or is silent for too long, or until the stop. At the stop, replies under way are
/// finished. A client that connected or sent a request within the last `silence` may have sent another one: that has as
/// long to arrive, and its reply ends the connection.
pub async fn serve<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    filter: F,
    stop: &CancellationToken,
    silence: Duration,
) where
    F: Filter<Extract: Reply, Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Future: Send,
{
    let (requests, quiet) = watch::channel(Requests { under_way: 0, since: Instant::now() });
    let requests = Arc::new(requests);
    let answers = TowerToHyperService::new(warp::service(filter));
    let stopping = stop.clone();
    let service = service_fn(move |request| {
        let under_way = UnderWay::count(Arc::clone(&requests));
        let version = request.version();
        let answering = names_one_host(&request).then(|| answers.call(with_path(request)));
        let stopping = stopping.clone();
        async move {
            let Ok::<_, Infallible>(mut response) = match answering {
                Some(answering) => answering.await,
                None => Ok(malformed(version)),
            };
            if stopping.is_cancelled() {
                end_after(version, &mut response);
            }
            drop(under_way);
            Ok::<_, Infallible>(response)
        }
    });
    let builder = bounded();
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return note(ended.err().as_deref()),
        // What hyper bounds by itself begins with the first request line, or never with HTTP/2.
        () = quiet_for_long(quiet.clone()) => {}
        () = stopped(stop, quiet, silence) => {}
    }
    connection.as_mut().graceful_shutdown();
    match timeout(LINGER_TIMEOUT, connection).await {
        Ok(ended) => note(ended.err().as_deref()),
        Err(_) => debug!("connection cut off whose client does not take its reply"),
    }
}

/// Both versions of HTTP, with what bounds a client's heads and silence.
fn bounded() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_headers(MAX_HEADERS)
        // Servers in Go write names so, and clients that are shell scripts look for them so: getssl for Link.
        .title_case_headers(true)
        // hyper knows no other bound on them than that of what it has read and not passed on.
        .max_buf_size(MAX_HEADER_BYTES.into());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES.into())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(IDLE_TIMEOUT);
    builder
}

/// The answer to a malformed request, like that of hyper: nothing more is read from such a client.
fn malformed(version: Version) -> warp::reply::Response {
    let mut response = StatusCode::BAD_REQUEST.into_response();
    end_after(version, &mut response);
    response
}

/// Tells the client that the connection ends with this answer. HTTP/2 has no header for that.
fn end_after(version: Version, response: &mut warp::reply::Response) {
    if version != Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// CONNECT names a host and no path, without which warp panics; whoever asks for a tunnel is told that there is none.
fn with_path<B>(mut request: Request<B>) -> Request<B> {
    if request.uri().path_and_query().is_none() {
        *request.uri_mut() = Uri::from_static("/");
    }
    request
}

/// Waits until no request was under way for as long as a connection may be idle.
async fn quiet_for_long(mut requests: watch::Receiver<Requests>) {
    // The sender lives as long as the connection.
    while requests.wait_for(|requests| requests.under_way == 0).await.is_ok() {
        if timeout(IDLE_TIMEOUT, requests.changed()).await.is_err() {
            return;
        }
    }
}

/// Waits for the stop, and then for one more request, or until there was none for `silence`. A request that is on its
/// way when its connection is closed is lost, and few clients send it again.
async fn stopped(
    stop: &CancellationToken,
    mut requests: watch::Receiver<Requests>,
    silence: Duration,
) {
    stop.cancelled().await;
    let Requests { under_way, since } = *requests.borrow_and_update();
    if under_way == 0 {
        // However it ends, nothing is on its way any more.
        let _ = timeout_at(since + silence, requests.changed()).await;
    }
}

fn note(error: Option<&(dyn std::error::Error + Send + Sync)>) {
    if let Some(error) = error {
        debug!(%error, "connection ended with an error");
    }
}

/// The requests of a connection.
#[derive(Clone, Copy)]
struct Requests {
    under_way: usize,
    /// When the last one came or was answered, or the connection began.
    since: Instant,
}

/// Counts a request as under way while it lives.
struct UnderWay(Arc<watch::Sender<Requests>>);

impl UnderWay {
    fn count(requests: Arc<watch::Sender<Requests>>) -> Self {
        requests.send_modify(|requests| {
            *requests = Requests { under_way: requests.under_way + 1, since: Instant::now() };
        });
        Self(requests)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|requests| {
            *requests = Requests { under_way: requests.under_way - 1, since: Instant::now() };
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::sleep,
    };

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const BODY_BYTES: usize = 100_000;
    const ARRIVAL: Duration = Duration::from_secs(1);

    /// A connection whose requests take so long to be answered.
    fn connect(takes: Duration) -> DuplexStream {
        connect_until(takes, CancellationToken::new())
    }

    /// The same, until a stop after which requests may arrive for so long.
    fn connect_until(takes: Duration, stop: CancellationToken) -> DuplexStream {
        let (client, server) = duplex(1024);
        let filter = warp::body::stream().then(move |_| async move {
            sleep(takes).await;
            "x".repeat(BODY_BYTES)
        });
        tokio::spawn(async move { serve(server, filter, &stop, ARRIVAL).await });
        client
    }

    /// How long the server keeps a connection on which a client sends this and reads what comes.
    async fn kept(sent: &[u8], takes: Duration) -> Duration {
        let (mut client, started) = (connect(takes), Instant::now());
        client.write_all(sent).await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        started.elapsed()
    }

    #[track_caller]
    fn check(kept: Duration, expected: Duration) {
        let tolerance = Duration::from_secs(1);
        assert!((expected..expected + tolerance).contains(&kept), "{kept:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_is_not_kept() {
        check(kept(b"", Duration::ZERO).await, IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_its_request_line_is_not_kept() {
        check(kept(b"P", Duration::ZERO).await, IDLE_TIMEOUT);
        check(kept(b"GET / HTTP/1.1\r\n", Duration::ZERO).await, IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_of_http_2_that_asks_for_nothing_is_not_kept() {
        let most = IDLE_TIMEOUT + LINGER_TIMEOUT;
        for sent in [PREFACE.to_vec(), [PREFACE, SETTINGS].concat()] {
            assert!(kept(&sent, Duration::ZERO).await <= most);
        }
    }

    #[tokio::test]
    async fn a_request_that_names_no_host_or_two_is_refused() {
        for sent in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"] {
            let (mut client, mut reply) = (connect(Duration::ZERO), String::new());
            client.write_all(sent.as_bytes()).await.unwrap();
            client.read_to_string(&mut reply).await.unwrap();
            assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{reply}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn header_names_begin_with_capitals_where_scripts_look_for_them() {
        let (mut client, mut reply) = (connect(Duration::ZERO), String::new());
        client.write_all(REQUEST).await.unwrap();
        client.read_to_string(&mut reply).await.unwrap();
        assert!(reply.contains("\r\nContent-Length: "), "{reply}");
    }

    #[tokio::test]
    async fn headers_without_end_are_refused_and_not_collected() {
        let long = format!("X: {}\r\n", "x".repeat(usize::from(MAX_HEADER_BYTES)));
        for rest in ["", "\r\n"] {
            let sent = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{long}{rest}");
            let (mut client, mut reply) = (connect(Duration::ZERO), String::new());
            // The server hangs up before it has taken all of it.
            let _ = client.write_all(sent.as_bytes()).await;
            client.read_to_string(&mut reply).await.unwrap();
            assert!(reply.starts_with("HTTP/1.1 431 "), "{rest:?}: {reply}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_for_a_while_after_the_last_reply() {
        check(kept(REQUEST, Duration::ZERO).await, IDLE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_longer_is_answered() {
        let takes = 2 * IDLE_TIMEOUT;
        check(kept(REQUEST, takes).await, takes + IDLE_TIMEOUT);
    }

    /// Sends a request on a connection that is kept, and reads the reply.
    async fn ask(client: &mut DuplexStream) {
        let (mut reply, mut part) = (Vec::new(), [0; 1024]);
        client.write_all(REQUEST).await.unwrap();
        while reply.len() < BODY_BYTES || !reply.ends_with(b"x") {
            let read = client.read(&mut part).await.unwrap();
            reply.extend_from_slice(&part[..read]);
        }
        assert!(!String::from_utf8_lossy(&reply).contains("Connection: close"));
    }

    #[track_caller]
    fn check_last(reply: &[u8]) {
        let reply = String::from_utf8_lossy(reply);
        assert!(reply.len() > BODY_BYTES, "{reply}");
        assert!(reply.contains("\r\nConnection: close\r\n"), "{reply}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_on_its_way_at_the_stop_is_the_last_to_be_answered() {
        for has_asked in [true, false] {
            let stop = CancellationToken::new();
            let (mut client, mut reply) = (connect_until(Duration::ZERO, stop.clone()), Vec::new());
            if has_asked {
                ask(&mut client).await;
            }
            stop.cancel();
            sleep(ARRIVAL / 2).await;
            client.write_all(REQUEST).await.unwrap();
            client.read_to_end(&mut reply).await.unwrap();
            check_last(&reply);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_at_the_stop_is_the_last_to_be_answered() {
        let stop = CancellationToken::new();
        let (mut client, mut reply) = (connect_until(2 * ARRIVAL, stop.clone()), Vec::new());
        client.write_all(REQUEST).await.unwrap();
        sleep(ARRIVAL).await;
        stop.cancel();
        client.read_to_end(&mut reply).await.unwrap();
        check_last(&reply);
    }

    #[tokio::test(start_paused = true)]
    async fn the_stop_does_not_wait_for_who_is_silent() {
        for (silent, left) in [(ARRIVAL / 4, ARRIVAL * 3 / 4), (2 * ARRIVAL, Duration::ZERO)] {
            let stop = CancellationToken::new();
            let mut client = connect_until(Duration::ZERO, stop.clone());
            ask(&mut client).await;
            sleep(silent).await;
            stop.cancel();
            let stopped = Instant::now();
            client.read_to_end(&mut Vec::new()).await.unwrap();
            let tolerance = ARRIVAL / 10;
            assert!((left..left + tolerance).contains(&stopped.elapsed()), "{silent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_not_kept() {
        let mut client = connect(Duration::ZERO);
        client.write_all(REQUEST).await.unwrap();
        sleep(IDLE_TIMEOUT + LINGER_TIMEOUT + Duration::from_secs(1)).await;
        let mut reply = Vec::new();
        client.read_to_end(&mut reply).await.unwrap();
        assert!(reply.len() < BODY_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_gets_all() {
        let mut client = connect(Duration::ZERO);
        client.write_all(REQUEST).await.unwrap();
        let (mut reply, mut part) = (Vec::new(), [0; 1024]);
        while reply.len() < BODY_BYTES {
            sleep(Duration::from_secs(1)).await;
            let read = client.read(&mut part).await.unwrap();
            assert!(read > 0, "cut off after {}", reply.len());
            reply.extend_from_slice(&part[..read]);
        }
    }
}
