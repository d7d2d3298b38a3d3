//! The routes between the servers of a cluster, which a test can cut as a network does: both ends hear nothing more, and
//! nobody tells them.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

/// What stands before the name of a server in what it says of itself, first of all.
const NAMED: &str = "\"server_name\":\"";

/// Carries what servers say to each other.
pub(crate) struct Routes {
    /// The server that is cut off.
    cut: watch::Sender<Option<String>>,
}

/// One end of a route; nobody before it has said its name.
type End = Arc<OnceLock<String>>;

impl Routes {
    /// Carries what arrives at each listener to the server of that name and address.
    pub(crate) fn carry(servers: Vec<(TcpListener, String, SocketAddr)>) -> Self {
        let cut = watch::Sender::new(None);
        for (listener, name, address) in servers {
            let callee = Arc::new(OnceLock::from(name));
            tokio::spawn(accept(listener, callee, address, cut.subscribe()));
        }
        Self { cut }
    }

    pub(crate) fn cut_off(&self, name: &str) {
        self.cut.send_replace(Some(name.to_owned()));
    }

    pub(crate) fn heal(&self) {
        self.cut.send_replace(None);
    }
}

async fn accept(
    listener: TcpListener,
    callee: End,
    address: SocketAddr,
    cut: watch::Receiver<Option<String>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(other) = TcpStream::connect(address).await else { continue };
        let caller = End::default();
        let ends = [callee.clone(), caller.clone()];
        let ((said, hears), (answers, heard)) = (stream.into_split(), other.into_split());
        tokio::spawn(carry(answers, hears, callee.clone(), ends.clone(), cut.clone()));
        tokio::spawn(carry(said, heard, caller, ends, cut.clone()));
    }
}

/// Carries what one end says until it leaves, and not while either is cut off.
async fn carry(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    speaker: End,
    ends: [End; 2],
    mut cut: watch::Receiver<Option<String>>,
) -> io::Result<()> {
    let (mut buffer, mut said) = (vec![0; 64 * 1024], String::new());
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        if speaker.get().is_none() {
            said += &String::from_utf8_lossy(&buffer[..length]);
            let name = said.split_once(NAMED).and_then(|(_, rest)| rest.split_once('"'));
            if let Some((name, _)) = name {
                let _ = speaker.set(name.to_owned());
            }
        }
        let is_open = |cut: &Option<String>| {
            cut.is_none() || ends.iter().all(|end| end.get() != cut.as_ref())
        };
        if cut.wait_for(is_open).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}
