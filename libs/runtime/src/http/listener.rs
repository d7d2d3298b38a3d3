//! Takes connections until the stop, then lets those that are open finish.

use std::{iter, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::Places;

/// More connections than the system keeps for a listener that does not take them.
const MAX_QUEUED: usize = 1024;

/// What a listener bears.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many connections are served at once; more wait in the system's queue.
    pub connections: usize,
    /// How long connections may go on after the stop.
    pub drain: Duration,
}

/// Accepts connections until told to stop and serves each in a task of its own. Returns when all have ended, or are cut off.
pub async fn accept<S>(
    listener: TcpListener,
    bounds: Bounds,
    stop: &CancellationToken,
    serve: impl Fn(TcpStream) -> S,
) where
    S: Future<Output = ()> + Send + 'static,
{
    let places = Places::new(bounds.connections);
    let open = TaskTracker::new();
    let spawn = |stream: TcpStream, place| {
        // Replies are small and a client waits for each: they leave at once.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "connection without TCP_NODELAY");
        }
        let serving = serve(stream);
        open.spawn(async move {
            serving.await;
            drop(place);
        });
    };
    while let Some(((stream, _), place)) = places.next(|| listener.accept(), stop).await {
        spawn(stream, Some(place));
    }
    match listener.into_std() {
        // No place is asked for: they are few and end soon, and they may be there because all places are taken.
        Ok(listener) => queued(&listener).for_each(|stream| spawn(stream, None)),
        Err(error) => warn!(%error, "connections not accepted"),
    }
    open.close();
    if timeout(bounds.drain, open.wait()).await.is_err() {
        warn!("connections cut off that did not finish in time");
    }
}

/// Takes the connections that wait in the system's queue, which would reset them. Others may go on to come.
fn queued(listener: &std::net::TcpListener) -> impl Iterator<Item = TcpStream> {
    iter::from_fn(|| listener.accept().ok()).take(MAX_QUEUED).filter_map(|(stream, _)| {
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::mpsc,
        task::JoinHandle,
    };

    use super::*;

    /// A listener that sends back what it is sent, and tells when it begins and ends to serve.
    struct Echo {
        address: std::net::SocketAddr,
        told: mpsc::UnboundedReceiver<&'static str>,
        stop: CancellationToken,
        accepting: JoinHandle<()>,
    }

    async fn echo(bounds: Bounds) -> Echo {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let requested = stop.clone();
        let accepting = tokio::spawn(async move {
            let serve = |mut stream: TcpStream| {
                let tell = tell.clone();
                async move {
                    tell.send("begins").unwrap();
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await.unwrap();
                    tell.send("ends").unwrap();
                }
            };
            accept(listener, bounds, &requested, serve).await;
        });
        Echo { address, told, stop, accepting }
    }

    async fn send_and_receive(client: &mut TcpStream) {
        let mut echoed = [0];
        client.write_all(b"x").await.unwrap();
        client.read_exact(&mut echoed).await.unwrap();
    }

    #[tokio::test]
    async fn beyond_the_bound_connections_wait_until_another_ends() {
        let bounds = Bounds { connections: 1, drain: Duration::from_secs(10) };
        let mut echo = echo(bounds).await;
        let mut first = TcpStream::connect(echo.address).await.unwrap();
        send_and_receive(&mut first).await;
        let mut second = TcpStream::connect(echo.address).await.unwrap();
        send_and_receive(&mut first).await;
        drop(first);
        send_and_receive(&mut second).await;
        drop(second);
        for expected in ["begins", "ends", "begins", "ends"] {
            assert_eq!(echo.told.recv().await, Some(expected));
        }
        echo.stop.cancel();
        echo.accepting.await.unwrap();
    }

    #[tokio::test]
    async fn who_had_connected_before_the_stop_is_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let bounds = Bounds { connections: 2, drain: Duration::from_secs(10) };
        let serve = |mut stream: TcpStream| async move {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
        };
        let asking = async {
            send_and_receive(&mut client).await;
            drop(client);
        };
        tokio::join!(accept(listener, bounds, &stop, serve), asking);
    }

    #[tokio::test]
    async fn who_waits_for_a_place_at_the_stop_is_served() {
        let echo = echo(Bounds { connections: 1, drain: Duration::from_secs(10) }).await;
        let mut first = TcpStream::connect(echo.address).await.unwrap();
        send_and_receive(&mut first).await;
        let mut second = TcpStream::connect(echo.address).await.unwrap();
        echo.stop.cancel();
        send_and_receive(&mut second).await;
        drop((first, second));
        echo.accepting.await.unwrap();
    }

    #[tokio::test]
    async fn after_the_stop_nobody_waits_longer_than_the_drain_for_a_connection() {
        let bounds = Bounds { connections: 2, drain: Duration::from_millis(50) };
        let echo = echo(bounds).await;
        let mut open = TcpStream::connect(echo.address).await.unwrap();
        send_and_receive(&mut open).await;
        echo.stop.cancel();
        echo.accepting.await.unwrap();
        assert!(TcpStream::connect(echo.address).await.is_err());
    }
}
