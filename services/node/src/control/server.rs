//! Takes changes from commands while the server runs.

use std::{
    convert::Infallible,
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use runtime::{Config, Places, Stop};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tracing::{info, warn};

use super::{Answer, MAX_MESSAGE_BYTES, Request, socket, socket::Address};
use crate::{
    change,
    failure::{Explain as _, Failure},
    ports::Ports,
};

/// Commands that are served at a time; more wait.
const MAX_REQUESTS: usize = 8;
/// How long a command may take to say what it wants.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
const ROOT: u32 = 0;

/// Makes the changes that commands ask for.
#[derive(Clone)]
struct Handler {
    ports: Ports,
    order_shards: u8,
    /// The user whose commands are taken, beside root.
    owner: u32,
}

/// Listens on the control socket of the data directory until the stage stops. Has to be called by whoever holds the
/// directory: a socket that is there already is what a killed server left.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) fn listen(config: &Config, ports: &Ports, stop: &Stop) -> Result<(), Failure> {
    let path = socket::path(&config.data_dir);
    let (listener, owner) = bind(&config.data_dir, &path)
        .while_doing(format_args!("cannot make the control socket {}", path.display()))
        .advise("Set data_dir to a directory on a local file system that this user can write.")?;
    let handler =
        Handler { ports: ports.clone(), order_shards: config.event_log.order_shards, owner };
    let stage = stop.clone();
    stop.spawn("control socket", async move {
        accept(listener, handler, &stage).await;
        remove(path);
        Ok::<_, Infallible>(())
    });
    Ok(())
}

fn bind(data_dir: &Path, path: &Path) -> io::Result<(UnixListener, u32)> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let address = Address::of(data_dir)?;
    let listener = UnixListener::bind(address.path())?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok((listener, fs::metadata(path)?.uid()))
}

fn remove(path: PathBuf) {
    if let Err(error) = fs::remove_file(path) {
        warn!(%error, "control socket not removed");
    }
}

async fn accept(listener: UnixListener, handler: Handler, stop: &Stop) {
    let (places, requested) = (Places::new(MAX_REQUESTS), stop.token());
    while let Some(((stream, _), place)) = places.next(|| listener.accept(), &requested).await {
        serve(stream, handler.clone(), place, stop);
    }
}

fn serve(stream: UnixStream, handler: Handler, place: OwnedSemaphorePermit, stop: &Stop) {
    let stage = stop.clone();
    stop.spawn("control request", async move {
        let _place = place;
        tokio::select! {
            answered = handler.answer(stream) => if let Err(failure) = answered {
                warn!(%failure, "control request not answered");
            },
            // Whatever was under way may be asked for again.
            () = stage.requested() => {}
        }
        Ok::<_, Infallible>(())
    });
}

impl Handler {
    async fn answer(&self, mut stream: UnixStream) -> Result<(), Failure> {
        let peer = stream.peer_cred()?.uid();
        if peer != self.owner && peer != ROOT {
            return Err(Failure::new(format!("user {peer} may not change anything")));
        }
        let request = timeout(REQUEST_PATIENCE, receive(&mut stream)).await??;
        let change = serde_json::to_string(&request.change)?;
        info!(operator = request.operator, change, "operator's command");
        let made = change::make(request.change, &request.operator, &self.ports, self.order_shards);
        let answer = match made.await {
            Ok(done) => Answer::Done(done),
            Err(failure) => Answer::Failed(failure),
        };
        stream.write_all(&serde_json::to_vec(&answer)?).await?;
        Ok(stream.shutdown().await?)
    }
}

async fn receive(stream: &mut UnixStream) -> Result<Request, Failure> {
    let mut bytes = Vec::new();
    stream.take(MAX_MESSAGE_BYTES).read_to_end(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}
