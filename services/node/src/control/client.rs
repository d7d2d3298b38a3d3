//! Asks the running server.

use std::{io, path::Path};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{Answer, MAX_MESSAGE_BYTES, Request, socket::Address};
use crate::failure::{Explain as _, Failure};

const UNKNOWN_OUTCOME: &str =
    "The change may or may not have been made: check with `certmill events`, then try again.";

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

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;
    use crate::{change::Change, fixtures};

    #[tokio::test]
    async fn a_server_that_hangs_up_did_not_say_that_the_change_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let stream = UnixStream::connect(&path).await.unwrap();
        drop(listener);
        let change = Change::DeactivateAccount { account: fixtures::account() };
        let request = Request { operator: "operator".to_owned(), change };
        let failure = exchange(stream, &request).await.err().unwrap();
        assert!(failure.to_string().contains("Broken pipe"), "{failure}");
        assert!(!failure.is_reader_gone(), "it would end with 0 and say nothing");
    }
}
