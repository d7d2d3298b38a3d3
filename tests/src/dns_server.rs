//! A DNS server for which every name is on this machine, by IPv6 only if it says so, and TXT and CAA records are files
//! (RFC 1035, RFC 8659).

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{free_port, ports::loopback};

/// A query is one small datagram.
const MAX_QUERY_BYTES: usize = 1232;
const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;
const TYPE_CAA: u16 = 257;
/// Names that end so have no IPv4 address.
const IPV6_ONLY: &str = "ipv6.example.com";
/// Response, authoritative, recursion desired and available, no error (§4.1.1).
const FLAGS: u16 = 0x8580;
/// A pointer to the name of the question (§4.1.4).
const NAME_OF_QUESTION: u16 = 0xc000 | 12;

/// A running DNS server; it stops when it is dropped.
pub struct DnsServer {
    port: u16,
    zone: TempDir,
    _listeners: [AbortOnDropHandle<()>; 2],
}

impl DnsServer {
    /// Listens on a port of its own, by UDP and TCP.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> anyhow::Result<Self> {
        let port = free_port()?;
        let socket = UdpSocket::bind(loopback(port)).await?;
        let zone = TempDir::new()?;
        let listener = TcpListener::bind(loopback(port)).await?;
        let listeners = [
            tokio::spawn(listen(socket, zone.path().to_owned())),
            tokio::spawn(accept(listener, zone.path().to_owned())),
        ];
        Ok(Self { port, zone, _listeners: listeners.map(AbortOnDropHandle::new) })
    }

    /// Where it listens, as the configuration wants it.
    pub fn address(&self) -> String {
        loopback(self.port).to_string()
    }

    /// Where the TXT records of a name are the lines of a file with that name in lower case, without its last dot.
    pub fn zone(&self) -> &Path {
        self.zone.path()
    }

    /// Sets the CAA records of a name, each as flags, tag and value.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_caa(&self, name: &str, records: &[&str]) -> anyhow::Result<()> {
        Ok(std::fs::write(self.zone.path().join(caa_file(name)), records.join("\n"))?)
    }

    /// Sets the TXT records of a name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_txt(&self, name: &str, values: &[&str]) -> anyhow::Result<()> {
        Ok(std::fs::write(self.zone.path().join(name), values.join("\n"))?)
    }
}

/// The file of a name's CAA records, whose lines are flags, tag and value.
fn caa_file(name: &str) -> String {
    format!("{name}.caa")
}

/// The lines of a file as CAA records (RFC 8659 §4.1); none where there is no file.
fn caa_records(file: &Path) -> Vec<Vec<u8>> {
    let record = |line: &str| {
        let (flags, rest) = line.split_once(' ')?;
        let (tag, value) = rest.split_once(' ')?;
        let head = [flags.parse().ok()?, u8::try_from(tag.len()).ok()?];
        Some([&head, tag.as_bytes(), value.as_bytes()].concat())
    };
    std::fs::read_to_string(file).unwrap_or_default().lines().filter_map(record).collect()
}

async fn listen(socket: UdpSocket, zone: PathBuf) {
    let mut datagram = [0; MAX_QUERY_BYTES];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut datagram).await else { continue };
        if let Some(answer) = datagram.get(..length).and_then(|query| answer(query, &zone)) {
            // The resolver asks again when an answer is lost.
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

/// Pebble asks by TCP only.
async fn accept(listener: TcpListener, zone: PathBuf) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let zone = zone.clone();
        // A resolver that hangs up early says so itself.
        connections.spawn(async move { converse(stream, &zone).await.unwrap_or_default() });
        while connections.try_join_next().is_some() {}
    }
}

/// Answers queries that each follow their length (§4.2.2), until the resolver hangs up.
async fn converse(mut stream: TcpStream, zone: &Path) -> std::io::Result<()> {
    let mut query = [0; MAX_QUERY_BYTES];
    loop {
        let length = usize::from(stream.read_u16().await?);
        let Some(query) = query.get_mut(..length) else { return Ok(()) };
        stream.read_exact(query).await?;
        let Some(answer) = answer(query, zone) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await?;
    }
}

/// The answer to a query with one question.
fn answer(query: &[u8], zone: &Path) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(HEADER_BYTES)?;
    let (name, name_bytes) = question_name(rest)?;
    let question = rest.get(..name_bytes + 4)?;
    let (record_type, class) = question.get(name_bytes..)?.split_at_checked(2)?;
    let records = match u16::from_be_bytes(record_type.try_into().ok()?) {
        TYPE_A if !name.ends_with(IPV6_ONLY) => vec![Ipv4Addr::LOCALHOST.octets().to_vec()],
        TYPE_AAAA if name.ends_with(IPV6_ONLY) => vec![Ipv6Addr::LOCALHOST.octets().to_vec()],
        TYPE_TXT => txt_records(&zone.join(name)),
        TYPE_CAA => caa_records(&zone.join(caa_file(&name))),
        _ => Vec::new(),
    };
    let mut answer = header.get(..2)?.to_vec();
    for field in [FLAGS, 1, u16::try_from(records.len()).ok()?, 0, 0] {
        answer.extend(field.to_be_bytes());
    }
    answer.extend(question);
    for record in records {
        answer.extend(NAME_OF_QUESTION.to_be_bytes());
        answer.extend(record_type);
        answer.extend(class);
        // Not to be cached: the next answer may be another one.
        answer.extend(0_u32.to_be_bytes());
        answer.extend(u16::try_from(record.len()).ok()?.to_be_bytes());
        answer.extend(record);
    }
    Some(answer)
}

/// The lines of a file as character strings; none where there is no file.
fn txt_records(file: &Path) -> Vec<Vec<u8>> {
    let lines = std::fs::read_to_string(file).unwrap_or_default();
    lines
        .lines()
        .filter_map(|line| Some([&[u8::try_from(line.len()).ok()?], line.as_bytes()].concat()))
        .collect()
}

/// The name of the question in lower case, and how many octets it takes (§4.1.2).
fn question_name(rest: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut end) = (Vec::new(), 0);
    while let length @ 1.. = usize::from(*rest.get(end)?) {
        let label = rest.get(end + 1..end + 1 + length)?;
        let is_host_label = label.iter().all(|b| b.is_ascii_alphanumeric() || b"-_*".contains(b));
        labels.push(is_host_label.then(|| String::from_utf8_lossy(label).to_ascii_lowercase())?);
        end += 1 + length;
    }
    Some((labels.join("."), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(record_type: u8) -> Vec<u8> {
        let header = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], b"\x01A\x07example\x00", &[0, record_type, 0, 1]].concat()
    }

    #[test]
    fn every_address_is_this_machine() {
        let answer = answer(&query(1), Path::new("none")).expect("an answer");
        assert_eq!(answer[..12], [0xab, 0xcd, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert!(answer.ends_with(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]));
    }

    #[test]
    fn names_that_say_so_have_an_ipv6_address_only() {
        let asked = |record_type: u8| {
            let name = b"\x04ipv6\x07example\x03com\x00";
            let query =
                [&[0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &name[..], &[0, record_type, 0, 1]];
            answer(&query.concat(), Path::new("none")).expect("an answer")
        };
        assert_eq!(asked(1)[6..8], [0, 0]);
        assert!(asked(28).ends_with(&Ipv6Addr::LOCALHOST.octets()));
    }

    #[test]
    fn each_line_of_a_file_is_a_txt_record() {
        let zone = TempDir::new().expect("a directory");
        std::fs::write(zone.path().join("a.example"), "one\ntwo\n").expect("a file");
        let answer = answer(&query(16), zone.path()).expect("an answer");
        assert_eq!(answer[6..8], [0, 2]);
        assert!(answer.ends_with(b"\x04\x03two"));
    }

    #[test]
    fn a_cut_query_is_not_answered() {
        let whole = query(1);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length], Path::new("none")), None, "{length} octets");
        }
    }
}
