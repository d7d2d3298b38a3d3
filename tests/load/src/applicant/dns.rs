//! A DNS server for which every name is on this machine (RFC 1035).

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// A query is one question.
const MAX_QUERY_BYTES: usize = 512;
const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
/// Response, recursion desired and available, no error (§4.1.1).
const FLAGS: u16 = 0x8180;
const TTL_SECONDS: u32 = 60;

/// A running DNS server; it stops when it is dropped.
pub(crate) struct DnsServer {
    address: SocketAddr,
    _listeners: [AbortOnDropHandle<()>; 2],
}

impl DnsServer {
    /// Listens on a free port of loopback, for datagrams and, because Pebble asks no other way, for connections.
    ///
    /// # Errors
    /// When there is no port that is free for both.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let stream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = stream.local_addr()?;
        let datagrams = UdpSocket::bind(address).await?;
        let listeners = [tokio::spawn(answer_datagrams(datagrams)), tokio::spawn(accept(stream))];
        Ok(Self { address, _listeners: listeners.map(AbortOnDropHandle::new) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn answer_datagrams(socket: UdpSocket) {
    let mut datagram = [0; MAX_QUERY_BYTES];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut datagram).await else { continue };
        if let Some(answer) = datagram.get(..length).and_then(answer) {
            // The resolver asks again when an answer is lost.
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

async fn accept(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // A resolver that hangs up early says so itself.
        connections.spawn(async { answer_connection(stream).await.unwrap_or_default() });
        while connections.try_join_next().is_some() {}
    }
}

/// Answers queries that each follow their length (§4.2.2), until the resolver hangs up.
async fn answer_connection(mut stream: TcpStream) -> std::io::Result<()> {
    let mut query = [0; MAX_QUERY_BYTES];
    loop {
        let length = usize::from(stream.read_u16().await?);
        let Some(query) = query.get_mut(..length) else { return Ok(()) };
        stream.read_exact(query).await?;
        let Some(answer) = answer(query) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await?;
    }
}

/// The answer to a query with one question: this machine for an address, nothing for every other type.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(HEADER_BYTES)?;
    let question = question(rest)?;
    let (_, type_and_class) = question.split_at_checked(question.len().checked_sub(4)?)?;
    let is_address = type_and_class.get(..2)? == TYPE_A.to_be_bytes();

    let mut answer = header.get(..2)?.to_vec();
    let counts = [1, u16::from(is_address), 0, 0];
    for field in [FLAGS].into_iter().chain(counts) {
        answer.extend(field.to_be_bytes());
    }
    answer.extend(question);
    if is_address {
        // A pointer to the name of the question, then type and class as asked.
        answer.extend([0xc0, 0x0c]);
        answer.extend(type_and_class);
        answer.extend(TTL_SECONDS.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(answer)
}

/// The first question: labels up to the empty one, then type and class (§4.1.2).
fn question(rest: &[u8]) -> Option<&[u8]> {
    let mut end = 0;
    while let label @ 1.. = usize::from(*rest.get(end)?) {
        end += 1 + label;
    }
    rest.get(..end + 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &[u8] = b"\x01a\x09localhost\x00";

    fn query(record_type: u8) -> Vec<u8> {
        let header = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header, NAME, &[0, record_type, 0, 1]].concat()
    }

    #[test]
    fn every_address_is_this_machine() {
        let answer = answer(&query(1)).expect("an answer");
        assert_eq!(answer[..12], [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert!(answer.ends_with(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]));
    }

    #[test]
    fn other_types_have_no_records() {
        let answer = answer(&query(28)).expect("an answer");
        assert_eq!(answer[6..8], [0, 0]);
        assert!(answer.ends_with(&[0, 28, 0, 1]));
    }

    #[test]
    fn a_cut_query_is_not_answered() {
        let whole = query(1);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length]), None, "{length} octets");
        }
    }
}
