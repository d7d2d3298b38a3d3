//! The process's addresses, taken before anything else is begun.

use std::{collections::BTreeSet, io, net::SocketAddr};

use runtime::{Config, Role};
use tokio::net::TcpListener;

use crate::failure::Failure;

/// The listeners of a process.
pub(super) struct Listeners {
    /// Where ACME clients come; only where the api runs.
    pub(super) api: Option<TcpListener>,
    /// Where operators and their tools come.
    pub(super) ops: TcpListener,
}

impl Listeners {
    /// Takes the configured addresses.
    ///
    /// # Errors
    /// When one cannot be had; the failure names its key.
    pub(super) async fn bind(config: &Config, roles: &BTreeSet<Role>) -> Result<Self, Failure> {
        let api = match roles.contains(&Role::Api) {
            true => Some(bind("api.listen", config.api.listen).await?),
            false => None,
        };
        Ok(Self { api, ops: bind("ops.listen", config.ops.listen).await? })
    }
}

async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let advice = |error: &io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "Another process listens there: stop it, or set {key} to another address and port."
        ),
        io::ErrorKind::PermissionDenied => format!(
            "Ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it, or set {key} to a higher port."
        ),
        _ => format!("Set {key} to an address of this machine and a free port."),
    };
    TcpListener::bind(address).await.map_err(|error| {
        let advice = advice(&error);
        Failure::from(error).while_doing(format_args!("cannot listen on {address}")).advise(advice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_refused_with_the_key_to_change() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let failure = bind("ops.listen", address).await.err().unwrap().to_string();
        assert!(failure.contains(&format!("cannot listen on {address}")), "{failure}");
        assert!(failure.contains("set ops.listen"), "{failure}");
    }
}
