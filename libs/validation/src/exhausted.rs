//! What this machine may have none left of: it says nothing about the applicant, whose look is to be repeated.

use std::{io, net::IpAddr};

use rustix::io::Errno;

/// What was missing for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Exhausted {
    /// The process has as many files open as it may.
    #[error("this process has as many files open as it may (LimitNOFILE, ulimit -n)")]
    ProcessFiles,
    /// All processes together have.
    #[error("this machine has as many files open as it may (fs.file-max)")]
    SystemFiles,
    /// Each port is taken by a connection to the same server, or by one that ended within the last minute.
    #[error("no port is left for a connection to that server (net.ipv4.ip_local_port_range)")]
    Ports,
    /// The kernel has no memory for it.
    #[error("the kernel has no memory left for a connection")]
    Memory,
}

impl Exhausted {
    /// Tells whether that is why there is no socket.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE => Some(Self::ProcessFiles),
            Errno::NFILE => Some(Self::SystemFiles),
            Errno::NOBUFS | Errno::NOMEM => Some(Self::Memory),
            _ => None,
        }
    }

    /// Tells whether that is why there is no connection to the address.
    pub(crate) fn of_connecting(error: &io::Error, address: IpAddr) -> Option<Self> {
        match Errno::from_io_error(error)? {
            // Where IPv6 is switched off, an address of it is answered like this too, and always will be.
            Errno::ADDRNOTAVAIL if address.is_ipv4() => Some(Self::Ports),
            _ => Self::of(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn an_ipv6_address_on_a_machine_without_ipv6_is_the_applicants_matter() {
        let error = io::Error::from(Errno::ADDRNOTAVAIL);
        assert_eq!(
            Exhausted::of_connecting(&error, Ipv4Addr::LOCALHOST.into()),
            Some(Exhausted::Ports)
        );
        assert_eq!(Exhausted::of_connecting(&error, Ipv6Addr::LOCALHOST.into()), None);
    }
}
