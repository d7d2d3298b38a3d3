//! Ports of loopback that no other test uses.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::ensure;

/// Below the ports that the system gives to outgoing connections.
const FIRST_PORT: u16 = 15_000;
/// How many ports one running test may use.
const PORTS_PER_TEST: u16 = 100;
/// How many tests may run at a time.
const MAX_TESTS: u16 = 170;

/// Takes a port that nobody listens on and nobody else is given.
///
/// The test runner numbers the tests that run at the same time; each number has ports of its own.
///
/// # Errors
/// When the test has used all of its ports.
pub fn free_port() -> anyhow::Result<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = FIRST_PORT + test_number() % MAX_TESTS * PORTS_PER_TEST;
    loop {
        let offset = TAKEN.fetch_add(1, Ordering::Relaxed);
        ensure!(offset < PORTS_PER_TEST, "the test uses more than {PORTS_PER_TEST} ports");
        let port = first + offset;
        let address = loopback(port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(port);
        }
    }
}

/// An address of this machine.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn test_number() -> u16 {
    let slot = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok().and_then(|slot| slot.parse().ok());
    // Another runner: the tests of one binary share a process and its counter.
    slot.unwrap_or_else(|| u16::try_from(std::process::id() % u32::from(MAX_TESTS)).unwrap_or(0))
}
