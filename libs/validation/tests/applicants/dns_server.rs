//! A DNS server over UDP and TCP on one loopback port, with answers the test chooses.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Instant,
};

use hickory_resolver::proto::{
    dnssec::{
        DnssecSigner,
        rdata::{DNSSECRData, NSEC, RRSIG},
    },
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordSet, RecordType,
        rdata::{CAA, CNAME, NS, TXT},
    },
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::{JoinHandle, JoinSet},
};

use crate::exhausted::forbid_files;

/// The largest answer sent over UDP; larger ones are truncated.
const MAX_UDP_BYTES: usize = 1232;
const TTL: u32 = 60;

/// What the server does with a query.
#[derive(Clone)]
pub(crate) enum Answer {
    Records(Vec<RData>),
    Mixed(Sections),
    /// No such records, and what proves that.
    Denial(Box<RData>),
    Code(ResponseCode),
    Silence,
    /// Silence until then.
    Late(Instant, Box<Self>),
    /// An answer after which this process can open no file.
    Exhausting(Box<Self>),
    Octets(MakeOctets),
}

/// An answer with records that do not belong there.
#[derive(Clone, Default)]
pub(crate) struct Sections {
    /// What the name has; nothing but this is signed.
    pub(crate) own: Vec<RData>,
    pub(crate) others: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
}

/// Makes the octets of an answer from those of its query.
pub(crate) type MakeOctets = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A record of a name, without a signature.
pub(crate) fn record(name: &str, data: RData) -> Record {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    Record::from_rdata(name, TTL, data)
}

/// The data of a TXT record with one string.
pub(crate) fn txt(value: &str) -> RData {
    RData::TXT(TXT::new(vec![value.to_owned()]))
}

/// The data of a CAA record that lets an issuer.
pub(crate) fn issue(issuer: &str) -> RData {
    let mut record = CAA::new_issue(false, None, Vec::new());
    record.value = issuer.as_bytes().to_vec();
    RData::CAA(record)
}

/// The answers by name and type; each further query gets the next one, the last one is repeated.
#[derive(Default)]
pub(crate) struct Zone {
    answers: HashMap<(Name, RecordType), Vec<Answer>>,
    signer: Option<DnssecSigner>,
    /// Zones below that are not signed.
    unsigned: Vec<Name>,
}

impl Zone {
    pub(crate) fn a(self, name: &str, address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        let data = RData::from(address);
        self.answer(name, data.record_type(), Answer::Records(vec![data]))
    }

    pub(crate) fn txt(self, name: &str, values: &[&[&str]]) -> Self {
        let strings = |value: &&[&str]| value.iter().map(|&text| text.to_owned()).collect();
        let data = values.iter().map(|value| RData::TXT(TXT::new(strings(value)))).collect();
        self.answer(name, RecordType::TXT, Answer::Records(data))
    }

    /// CAA records, each as flags, tag and value.
    pub(crate) fn caa(self, name: &str, records: &[(u8, &str, &str)]) -> Self {
        let data = records
            .iter()
            .map(|(flags, tag, value)| {
                let mut record = CAA::new_issue(flags & 0x80 != 0, None, Vec::new());
                record.reserved_flags = flags & 0x7f;
                record.tag = (*tag).to_owned();
                record.value = value.as_bytes().to_vec();
                RData::CAA(record)
            })
            .collect();
        self.answer(name, RecordType::CAA, Answer::Records(data))
    }

    pub(crate) fn cname(self, name: &str, target: &str) -> Self {
        let target = RData::CNAME(CNAME(Name::from_ascii(target).unwrap()));
        self.answer(name, RecordType::CNAME, Answer::Records(vec![target]))
    }

    pub(crate) fn answer(mut self, name: &str, kind: RecordType, answer: Answer) -> Self {
        let mut name = Name::from_ascii(name).unwrap();
        name.set_fqdn(true);
        self.answers.entry((name, kind)).or_default().push(answer);
        self
    }

    pub(crate) fn signed(mut self, signer: DnssecSigner) -> Self {
        let key = RData::DNSSEC(DNSSECRData::DNSKEY(signer.to_dnskey()));
        let apex = signer.signer_name().to_ascii();
        self.signer = Some(signer);
        self.answer(&apex, RecordType::DNSKEY, Answer::Records(vec![key]))
    }

    /// Delegates a zone without a key: its parent proves that it is not signed.
    pub(crate) fn delegated_unsigned(mut self, name: &str) -> Self {
        let mut zone = Name::from_ascii(name).unwrap();
        zone.set_fqdn(true);
        let next = zone.prepend_label("z").unwrap();
        let denial = RData::DNSSEC(DNSSECRData::NSEC(NSEC::new_cover_self(next, [RecordType::NS])));
        self.unsigned.push(zone.clone());
        let server = RData::NS(NS(zone.prepend_label("ns").unwrap()));
        self.answer(name, RecordType::NS, Answer::Records(vec![server])).answer(
            name,
            RecordType::DS,
            Answer::Denial(Box::new(denial)),
        )
    }

    fn take(&mut self, query: &Query) -> (RecordType, Answer) {
        let name = query.name().to_lowercase();
        for kind in [query.query_type(), RecordType::CNAME] {
            if let Some(answers) = self.answers.get_mut(&(name.clone(), kind)) {
                let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
                return (kind, answer);
            }
        }
        let exists = self.answers.keys().any(|(known, _)| *known == name);
        let code = if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
        (query.query_type(), Answer::Code(code))
    }

    fn respond(&mut self, octets: &[u8]) -> Option<Message> {
        let request = Message::from_vec(octets).ok()?;
        let query = request.queries.first()?.clone();
        let mut response = Message::new(request.id, MessageType::Response, OpCode::Query);
        response.metadata.recursion_desired = true;
        response.metadata.recursion_available = true;
        response.add_query(query.clone());
        let (kind, answer) = self.take(&query);
        let answer = match answer {
            Answer::Late(from, late) if Instant::now() >= from => *late,
            Answer::Exhausting(answer) => {
                forbid_files();
                *answer
            }
            answer => answer,
        };
        match (kind, answer) {
            (_, Answer::Code(code)) => response.metadata.response_code = code,
            (kind, Answer::Records(data)) => {
                let unsigned = self.unsigned.iter().any(|zone| zone.zone_of(query.name()));
                response.add_answers(self.set(query.name(), kind, data, !unsigned));
            }
            (kind, Answer::Mixed(sections)) => {
                if !sections.own.is_empty() {
                    response.add_answers(self.set(query.name(), kind, sections.own, true));
                }
                response.add_answers(sections.others);
                response.add_authorities(sections.authorities);
            }
            (_, Answer::Denial(data)) => {
                response.add_authorities(self.set(
                    query.name(),
                    RecordType::NSEC,
                    vec![*data],
                    true,
                ));
            }
            (_, Answer::Silence | Answer::Late(..) | Answer::Exhausting(_) | Answer::Octets(_)) => {
                return None;
            }
        }
        Some(response)
    }

    /// Records of a name, with their signature if they are to have one.
    fn set(&self, name: &Name, kind: RecordType, data: Vec<RData>, signed: bool) -> Vec<Record> {
        let mut set = RecordSet::with_ttl(name.clone(), kind, TTL);
        for data in data {
            set.insert(Record::from_rdata(name.clone(), TTL, data), 0);
        }
        let signer = self.signer.as_ref().filter(|_| signed);
        let signature = signer.map(|signer| signature(&set, signer));
        set.records_without_rrsigs().cloned().chain(signature).collect()
    }

    fn octets(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(request).ok()?.queries.first()?.clone();
        let name = query.name().to_lowercase();
        if let Some([Answer::Octets(make), ..]) =
            self.answers.get(&(name, query.query_type())).map(Vec::as_slice)
        {
            return Some(make(request));
        }
        Some(self.respond(request)?.to_vec().unwrap())
    }
}

fn signature(set: &RecordSet, signer: &DnssecSigner) -> Record {
    let an_hour_ago = OffsetDateTime::now_utc() - time::Duration::HOUR;
    let signature = RRSIG::from_rrset(set, DNSClass::IN, an_hour_ago, signer).unwrap();
    Record::from_rdata(set.name().clone(), TTL, RData::DNSSEC(DNSSECRData::RRSIG(signature)))
}

/// A running server; stops when dropped.
pub(crate) struct DnsServer {
    pub(crate) address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl DnsServer {
    pub(crate) async fn start(zone: Zone) -> Self {
        let zone = Arc::new(Mutex::new(zone));
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let tasks =
            [tokio::spawn(serve_udp(udp, zone.clone())), tokio::spawn(serve_tcp(tcp, zone))];
        Self { address, tasks }
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A free UDP port need not be free for TCP: the next one may be.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = vec![0; 4096];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
        let request = &buffer[..length];
        let Some(mut response) = zone.lock().unwrap().octets(request) else { continue };
        if response.len() > MAX_UDP_BYTES {
            response = Message::from_vec(&response).unwrap().truncate().to_vec().unwrap();
        }
        socket.send_to(&response, peer).await.unwrap();
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve_connection(stream, zone.clone()));
    }
}

/// Answers one query and closes, as a server may (RFC 7766 §6.2.3).
async fn serve_connection(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) -> io::Result<()> {
    let mut request = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut request).await?;
    let Some(response) = zone.lock().unwrap().octets(&request) else {
        return Ok(());
    };
    stream.write_u16(u16::try_from(response.len()).unwrap()).await?;
    stream.write_all(&response).await
}
