//! A credentials file: the JWT of a user and the seed of its key.
//!
//! It is read for each connection: a JWT ends, and whoever renews it replaces the file.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;

/// The longest file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// Has each connection log in by what the file holds at that time.
///
/// # Errors
/// When it holds no credentials now.
pub(super) fn log_in(path: &Path) -> io::Result<ConnectOptions> {
    read(path)?;
    let path = PathBuf::from(path);
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        let signed = sign(&path, &nonce);
        async move { signed.map_err(AuthError::new) }
    }))
}

fn sign(path: &Path, nonce: &[u8]) -> io::Result<Auth> {
    let (jwt, key) = read(path)?;
    let mut auth = Auth::new();
    auth.jwt = Some(jwt);
    auth.signature = Some(key.sign(nonce).map_err(invalid)?);
    Ok(auth)
}

fn read(path: &Path) -> io::Result<(String, KeyPair)> {
    if std::fs::metadata(path)?.len() > MAX_BYTES {
        return Err(invalid("the file is too long"));
    }
    let text = std::fs::read_to_string(path)?;
    let jwt = block(&text, "USER JWT").ok_or_else(|| invalid("there is no user JWT"))?;
    let seed = block(&text, "USER NKEY SEED").ok_or_else(|| invalid("there is no user seed"))?;
    Ok((jwt.to_owned(), KeyPair::from_seed(seed).map_err(invalid)?))
}

/// The line after the one that begins a block.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains("BEGIN") && line.contains(name))?;
    lines.next().filter(|line| !line.is_empty() && !line.starts_with("---"))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
