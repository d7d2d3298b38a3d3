//! The servers' URLs: where they lead, and who logs in there.

use std::io;

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use crate::ConnectError;

/// Reads the URLs.
pub(super) fn addresses(servers: &[String]) -> Result<Vec<ServerAddr>, ConnectError> {
    if servers.is_empty() {
        return Err(ConnectError::NoServer);
    }
    let parse = |(index, server): (usize, &String)| {
        let invalid = |source: io::Error| ConnectError::InvalidServer { entry: index + 1, source };
        address(server).map_err(invalid)
    };
    servers.iter().enumerate().map(parse).collect()
}

/// The client takes WebSocket URLs as well, and connects without a WebSocket there, and without TLS.
fn address(server: &str) -> io::Result<ServerAddr> {
    let address: ServerAddr = server.parse()?;
    if address.is_websocket() {
        let told = "WebSockets are not supported: begin it with nats:// or tls://";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    Ok(address)
}

/// Logs in by the first name and password, or token, that stand in a URL: the client reads them there but does not send them.
pub(super) fn log_in(connect: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let named = servers.iter().find_map(|server| Some((server.username()?, server.password())));
    match named {
        Some((user, Some(password))) => connect.user_and_password(decoded(user), decoded(password)),
        Some((token, None)) => connect.token(decoded(token)),
        None => connect,
    }
}

/// Characters that a URL cannot hold are percent-encoded, by its author or when it was parsed.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
