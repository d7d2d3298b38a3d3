//! Asks the running server.

use std::{io, path::Path};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{Answer, MAX_MESSAGE_BYTES, Request, socket::Address};
use crate::failure::{Explain as _, Failure};

const UNKNOWN_OUTCOME: &str =
    "It is not known whether the change was made: look with `certmill events`, then try again.";

/// Sends a request to the server of a data directory; none when no server listens there.
///
/// # Errors
/// When the server cannot be asked or does not answer.
pub(super) async fn ask(data_dir: &Path, request: &Request) -> Result<Option<Answer>, Failure> {
    let connected = async {
        let address = Address::of(data_dir)?;
        UnixStream::connect(address.path()).await
    };
    let stream = match connected.await {
        Ok(stream) => stream,
        Err(error) if is_nobody_there(&error) => return Ok(None),
        Err(error) => {
            return Err(error)
                .while_doing("cannot reach the server through its control socket in data_dir")
                .advise("Run the command as the server's user, or as root.");
        }
    };
    exchange(stream, request)
        .await
        .map(Some)
        .while_doing("the server did not answer")
        .advise(UNKNOWN_OUTCOME)
}

fn is_nobody_there(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), ConnectionRefused | NotADirectory | NotFound)
}

async fn exchange(mut stream: UnixStream, request: &Request) -> Result<Answer, Failure> {
    stream.write_all(&serde_json::to_vec(request)?).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.take(MAX_MESSAGE_BYTES).read_to_end(&mut answer).await?;
    Ok(serde_json::from_slice(&answer)?)
}
