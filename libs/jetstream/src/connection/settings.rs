//! Where to connect, and how.

use std::{fs::File, time::Duration};

use async_nats::{ConnectOptions, ServerAddr};

use super::{credentials, servers};
use crate::{ConnectError, Options};

/// The longest pause between two attempts to reconnect.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// How often a silent connection is tried. It is given up after three intervals, when other servers are about to elect who
/// leads instead of one that hangs or whose machine is gone.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// The addresses of the servers, and how to connect to them.
pub(super) fn settings(
    options: &Options,
) -> Result<(Vec<ServerAddr>, ConnectOptions), ConnectError> {
    let servers = servers::addresses(&options.servers)?;
    check_files(options)?;
    let connect = match &options.credentials {
        Some(path) => credentials::log_in(path).map_err(ConnectError::Credentials)?,
        None => ConnectOptions::new(),
    };
    let mut connect = connect
        .name("certmill")
        .connection_timeout(options.connect_timeout)
        .request_timeout(Some(options.request_timeout))
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(reconnect_delay);
    connect = servers::log_in(connect, &servers);
    if let Some(path) = &options.root_certificates {
        connect = connect.add_root_certificates(path.clone());
    }
    if let Some(certificate) = &options.client_certificate {
        connect =
            connect.add_client_certificate(certificate.chain.clone(), certificate.key.clone());
    }
    Ok((servers, connect))
}

/// The client reads the files whenever it connects, and does not say which it cannot read.
fn check_files(options: &Options) -> Result<(), ConnectError> {
    let own = options.client_certificate.as_ref();
    let files = [
        ("root_certificates", options.root_certificates.as_ref()),
        ("client_certificate", own.map(|own| &own.chain)),
        ("client_key", own.map(|own| &own.key)),
    ];
    for (key, path) in files {
        let Some(path) = path else { continue };
        let opened = File::open(path);
        opened.map_err(|source| ConnectError::File { key, path: path.clone(), source })?;
    }
    Ok(())
}

fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(10);
    (Duration::from_millis(5) * 2_u32.pow(doublings)).min(MAX_RECONNECT_DELAY)
}
