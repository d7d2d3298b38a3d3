//! Collects the evidence of one validation while it runs, so that it is there however the validation ends.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use domain::{CaaEvidence, Evidence, Handshake, Hop};
use hickory_resolver::proto::{
    dnssec::Proof,
    rr::{Record, RecordType},
};
use ring::digest::{SHA256, digest};
use rustls::{ProtocolVersion, pki_types::CertificateDer};
use url::Url;

use crate::Exhausted;

/// How many DNS records are kept.
const MAX_RECORDS: usize = 64;
/// How many CAA records are kept.
const MAX_CAA_RECORDS: usize = 16;
/// How many bytes of one DNS record are kept; the longest name and an ordinary value fit.
const MAX_RECORD_BYTES: usize = 384;
/// How many bytes of a URL are kept.
const MAX_URL_BYTES: usize = 512;

/// What has been seen so far.
pub(crate) struct Observed {
    evidence: Evidence,
    started: Instant,
    exhausted: Option<Exhausted>,
}

impl Observed {
    /// Begins with nothing seen.
    pub(crate) fn new(perspective: &str, resolver: &str) -> Self {
        let evidence = Evidence {
            perspective: perspective.to_owned(),
            resolver: resolver.to_owned(),
            ..Evidence::default()
        };
        Self { evidence, started: Instant::now(), exhausted: None }
    }

    /// Notes DNS answers, without the signatures among them.
    pub(crate) fn records<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) {
        let room = MAX_RECORDS - self.evidence.records.len();
        let answers =
            records.into_iter().filter(|record| record.record_type() != RecordType::RRSIG);
        self.evidence.records.extend(answers.take(room).map(|record| {
            // The name comes back as it was asked, in random case.
            let name = record.name.to_lowercase();
            let text = format!("{name} {} {}", record.record_type(), record.data);
            printable(&text, MAX_RECORD_BYTES)
        }));
    }

    /// Notes that nothing was said about the records of a name for as long as that was waited for.
    pub(crate) fn unanswered(&mut self, owner: &str, kind: RecordType, waited: Duration) {
        if self.evidence.records.len() < MAX_RECORDS {
            let text = format!("{owner}. {kind} (no answer within {} s)", waited.as_secs_f32());
            self.evidence.records.push(printable(&text, MAX_RECORD_BYTES));
        }
    }

    /// Notes what DNSSEC says about answers that were validated: one unproven answer makes all of them unproven.
    pub(crate) fn proofs(&mut self, mut proofs: impl Iterator<Item = Proof>) {
        let secure = proofs.all(|proof| proof.is_secure())
            && self.evidence.dnssec.as_deref().is_none_or(|before| before == "secure");
        self.evidence.dnssec = Some(if secure { "secure" } else { "insecure" }.to_owned());
    }

    /// Notes an HTTP request that is about to be made.
    pub(crate) fn request(&mut self, url: &Url, address: SocketAddr) {
        let url = printable(url.as_str(), MAX_URL_BYTES);
        self.evidence.hops.push(Hop { url, address: address.to_string(), status: None });
    }

    /// Notes the status of the last request.
    pub(crate) fn status(&mut self, status: u16) {
        if let Some(hop) = self.evidence.hops.last_mut() {
            hop.status = Some(status);
        }
    }

    /// Notes a TLS handshake that is about to be made.
    pub(crate) fn handshake(&mut self, server_name: &str, address: SocketAddr) {
        self.evidence.handshakes.push(Handshake {
            server_name: server_name.to_owned(),
            address: address.to_string(),
            version: None,
            certificate_sha256: None,
        });
    }

    /// Notes what the last handshake agreed on and showed.
    pub(crate) fn shaken(
        &mut self,
        version: Option<ProtocolVersion>,
        certificate: Option<&CertificateDer<'_>>,
    ) {
        if let Some(handshake) = self.evidence.handshakes.last_mut() {
            handshake.version = version.map(|version| format!("{version:?}"));
            let digest = certificate.map(|shown| digest(&SHA256, shown));
            handshake.certificate_sha256 = digest
                .map(|digest| digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect());
        }
    }

    /// Notes what CAA said.
    pub(crate) fn caa(&mut self, seen: CaaEvidence) {
        let records = seen.records.iter().take(MAX_CAA_RECORDS);
        let records = records.map(|record| printable(record, MAX_RECORD_BYTES)).collect();
        self.evidence.caa = Some(CaaEvidence { records, ..seen });
    }

    /// Notes that this machine had nothing left to look with.
    pub(crate) fn note_exhausted(&mut self, exhausted: Exhausted) {
        self.exhausted = Some(exhausted);
    }

    /// What this machine had none left of.
    pub(crate) fn exhausted(&self) -> Option<Exhausted> {
        self.exhausted
    }

    /// How far it came with the server that was asked last, in words an applicant can act on; nothing while only DNS was.
    pub(crate) fn last_contact(&self) -> Option<String> {
        let asked = self.evidence.hops.last().map(|hop| match hop.status {
            None => format!("{} did not answer", hop.address),
            Some(status) => format!("{} began to answer with status {status}", hop.address),
        });
        let shaking = |it: &&Handshake| it.version.is_none();
        let shaken = self.evidence.handshakes.last().filter(shaking);
        asked.or_else(|| Some(format!("{} did not finish the TLS handshake", shaken?.address)))
    }

    /// Ends the validation.
    pub(crate) fn finish(self) -> Evidence {
        let elapsed = self.started.elapsed().as_millis();
        Evidence { duration_millis: u64::try_from(elapsed).unwrap_or(u64::MAX), ..self.evidence }
    }
}

/// The text in printable ASCII and cut: applicants choose what stands in records and URLs.
fn printable(text: &str, max_bytes: usize) -> String {
    let shown = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(max_bytes).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::{Name, RData, rdata::TXT};

    use super::*;

    fn txt(value: &str) -> Record {
        let name = Name::from_ascii("a.example.").unwrap();
        Record::from_rdata(name, 60, RData::TXT(TXT::new(vec![value.to_owned()])))
    }

    #[test]
    fn records_are_bounded_in_number_length_and_alphabet() {
        let mut observed = Observed::new("primary", "system");
        let records = vec![txt(&"ä\n".repeat(120)); MAX_RECORDS + 1];
        observed.records(&records);
        observed.records(&records);
        let evidence = observed.finish();
        assert_eq!(evidence.records.len(), MAX_RECORDS);
        assert!(evidence.records[0].starts_with("a.example. TXT ????"));
        assert!(evidence.records[0].len() <= MAX_RECORD_BYTES);
    }

    #[test]
    fn one_unproven_answer_makes_the_evidence_insecure() {
        let mut observed = Observed::new("primary", "system");
        observed.proofs([Proof::Secure].into_iter());
        assert_eq!(observed.evidence.dnssec.as_deref(), Some("secure"));
        observed.proofs([Proof::Secure, Proof::Insecure].into_iter());
        observed.proofs([Proof::Secure].into_iter());
        assert_eq!(observed.evidence.dnssec.as_deref(), Some("insecure"));
    }
}
