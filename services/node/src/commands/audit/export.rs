//! `certmill audit export`: every certificate that was issued or revoked, and every order that failed, as a table.

use std::collections::HashSet;

use acme::{base64url, revocation::PresentedCertificate};
use domain::{
    AccountId, Identifier, ProfileName, Serial,
    certificate::{CertRevoked, CertificateSigned, LedgerEvent, RevocationEvent},
    order::{self, OrderPlaced},
};
use eventstore::{Message, Sequence, StoredEvent, Stream, Subject};
use runtime::Config;

use super::record::{HEADER, Record, csv_line};
use crate::{
    cli::{Outcome, Wanted},
    commands::account,
    failure::{Explain as _, Failure},
    log::{Log, serial_of},
    output::{Format, Output},
};

/// The account and the profile that were asked for, until a record of them is met.
struct Missing<'a> {
    account: Option<&'a AccountId>,
    profile: Option<&'a ProfileName>,
}

/// The log as it is gone through.
struct Audit<'a> {
    log: &'a Log,
    wanted: &'a Wanted,
    /// The serials that were given up so far.
    burned: HashSet<Serial>,
}

/// Prints what is wanted.
///
/// # Errors
/// When the log is out of reach or damaged, and when nothing can be wanted: an empty table would pass for an answer.
pub(super) async fn run(config: &Config, wanted: &Wanted, out: &mut Output) -> Result<(), Failure> {
    if let (Some(since), Some(until)) = (wanted.since, wanted.until)
        && since >= until
    {
        return Err(Failure::new("--until must be after --since"));
    }
    let log = Log::open(config).await?;
    if out.format() == Format::Text {
        out.line(csv_line(HEADER)?)?;
    }
    let mut missing = Missing::of(wanted);
    let mut audit = Audit { log: &log, wanted, burned: HashSet::new() };
    let mut tail = log.tail();
    loop {
        let page = tail.next().await?;
        if page.is_empty() {
            out.flush()?;
            return missing.refuse(config, &log).await;
        }
        for message in &page {
            for record in audit.records(message).await? {
                missing.meet(&record);
                if record.is_wanted(wanted) {
                    print(&record, out)?;
                }
            }
        }
    }
}

impl<'a> Missing<'a> {
    fn of(wanted: &'a Wanted) -> Self {
        Self { account: wanted.account.as_ref(), profile: wanted.profile.as_ref() }
    }

    fn meet(&mut self, record: &Record) {
        self.account.take_if(|account| record.account.as_ref() == Some(*account));
        self.profile.take_if(|profile| record.profile.as_ref() == Some(*profile));
    }

    /// Fails when neither the audit nor anything else knows them. What has no certificate yet is no mistake.
    async fn refuse(self, config: &Config, log: &Log) -> Result<(), Failure> {
        if let Some(profile) = self.profile
            && config.profile(profile).is_none()
        {
            let unknown = format!(
                "there is no profile {profile}, neither in the configuration nor in the audit"
            );
            return Err(Failure::new(unknown))
                .advise("`certmill check-config` prints all profiles.");
        }
        match self.account {
            Some(account) => account::find(log, account).await.map(drop),
            None => Ok(()),
        }
    }
}

fn print(record: &Record, out: &mut Output) -> Result<(), Failure> {
    match out.format() {
        Format::Text => out.line(csv_line(record.cells().iter().map(String::as_str))?),
        Format::Json => out.json(record),
    }
}

impl Audit<'_> {
    /// What a message adds to the audit.
    async fn records(&mut self, message: &Message) -> Result<Vec<Record>, Failure> {
        let mut records = Vec::new();
        for event in &message.envelope.events {
            match message.subject.stream() {
                Stream::Ledger if event.is("CertificateSigned") => {
                    if let LedgerEvent::CertificateSigned(signed) = event.decode()? {
                        records.push(issued(message, signed)?);
                    }
                }
                Stream::Ledger if event.is("SerialBurned") => {
                    self.burned.insert(serial_of(&event.decode()?).clone());
                }
                Stream::Revocations if event.is("CertRevoked") => {
                    let RevocationEvent::CertRevoked(revoked) = event.decode()?;
                    records.extend(self.revoked(message, revoked).await?);
                }
                Stream::Orders(_) => records.extend(failed(self.log, message, event).await?),
                Stream::Ledger
                | Stream::Revocations
                | Stream::Accounts
                | Stream::Administration => {}
            }
        }
        Ok(records)
    }

    /// A revocation, with what the ledger says of the certificate; one that was given up after a crash is not there.
    async fn revoked(
        &self,
        message: &Message,
        revoked: CertRevoked,
    ) -> Result<Option<Record>, Failure> {
        let mut found = record(message, Outcome::Revoked);
        if !found.is_of_wanted_kind(self.wanted) {
            return Ok(None);
        }
        for entry in self.ledger(&revoked.serial).await? {
            for event in entry.envelope.decode::<LedgerEvent>()? {
                if serial_of(&event) == &revoked.serial
                    && let LedgerEvent::CertificateSigned(signed) = event
                {
                    let signed = issued(message, signed)?;
                    found = Record { outcome: Outcome::Revoked, ..signed };
                }
            }
        }
        found.serial = Some(revoked.serial);
        found.issuer = Some(revoked.issuer);
        found.not_after = Some(revoked.not_after);
        found.reason = Some(revoked.reason.name().to_owned());
        Ok(Some(found))
    }

    /// What the ledger says about a serial. No index knows one that was given up, and an outage gives up many: the whole
    /// ledger is not read for each.
    async fn ledger(&self, serial: &Serial) -> Result<Vec<Message>, Failure> {
        if self.burned.contains(serial) {
            return Ok(self.log.indexed(serial).await?.into_iter().collect());
        }
        self.log.ledger(serial).await
    }
}

fn record(message: &Message, outcome: Outcome) -> Record {
    let envelope = &message.envelope;
    Record {
        at: envelope.at,
        outcome,
        serial: None,
        issuer: None,
        profile: None,
        account: None,
        order: None,
        names: Vec::new(),
        not_after: None,
        reason: None,
        by: envelope.actor.to_string(),
        request_id: envelope.request_id.clone(),
    }
}

fn issued(message: &Message, signed: CertificateSigned) -> Result<Record, Failure> {
    let der = base64url::decode(&signed.certificate)?;
    Ok(Record {
        names: PresentedCertificate::from_der(der)?.names.unwrap_or_default(),
        serial: Some(signed.serial),
        issuer: Some(signed.issuer),
        profile: signed.profile,
        account: signed.account,
        order: signed.order,
        not_after: Some(signed.not_after),
        ..record(message, Outcome::Issued)
    })
}

/// An event after which there is no certificate.
async fn failed(
    log: &Log,
    message: &Message,
    event: &StoredEvent,
) -> Result<Option<Record>, Failure> {
    const FAILURES: [&str; 3] = ["ChallengeFailed", "CaaCheckFailed", "IssuanceFailed"];
    if !FAILURES.iter().any(|kind| event.is(kind)) {
        return Ok(None);
    }
    let (failure, identifier) = match event.decode()? {
        order::Event::ChallengeFailed(failed) => (failed.failure, Some(failed.identifier)),
        order::Event::CaaCheckFailed(failed) => (failed.failure, Some(failed.identifier)),
        order::Event::IssuanceFailed(failed) => (failed.failure, None),
        _ => return Ok(None),
    };
    let placed = placed(log, &message.subject).await?;
    let ordered = placed.as_ref().map(|placed| placed.identifiers.as_slice()).unwrap_or_default();
    let names = identifier.as_ref().map_or(ordered, std::slice::from_ref);
    Ok(Some(Record {
        names: names.iter().map(Identifier::canonical).collect(),
        profile: placed.as_ref().map(|placed| placed.profile.clone()),
        account: placed.as_ref().map(|placed| placed.account.clone()),
        order: placed.as_ref().map(|placed| placed.id.clone()),
        reason: Some(format!("{}: {}", failure.kind.as_str(), failure.detail)),
        ..record(message, Outcome::Failed)
    }))
}

/// How an order began; none when its events are no longer kept.
async fn placed(log: &Log, subject: &Subject) -> Result<Option<OrderPlaced>, Failure> {
    let history = log.store().read(subject, Sequence::NONE).await?;
    let first = history.first().and_then(|message| message.envelope.events.first());
    match first.map(StoredEvent::decode).transpose()? {
        Some(order::Event::OrderPlaced(placed)) => Ok(Some(placed)),
        Some(_) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use eventstore::{Envelope, EventStore as _, Expected};
    use serde_json::json;

    use super::*;
    use crate::{fixtures, ports};

    /// What messages of these types add, where whoever reads the whole ledger fails.
    async fn added(kinds: &[&str], wanted: &Wanted) -> Result<Vec<Record>, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let written = fixtures::log(dir.path());
        fixtures::append(&written, kinds).await;
        let unknown: Envelope = serde_json::from_value(json!({
            "id": "unknown",
            "at": "2026-01-01T12:01:00Z",
            "actor": { "kind": "operator", "name": "alice" },
            "events": [{ "type": "Unknown", "version": 1, "data": {} }],
        }))
        .unwrap();
        let subject = Subject::ledger(&"0011223344556677".parse().unwrap(), &fixtures::serial());
        written.append(&subject, Expected::Anything, &unknown).await.unwrap();
        let log = Log::Embedded(ports::open_to_read(dir.path()).unwrap());
        let mut audit = Audit { log: &log, wanted, burned: HashSet::new() };
        let mut added = Vec::new();
        for message in log.tail().next().await?.iter().take(kinds.len()) {
            added.extend(audit.records(message).await?);
        }
        Ok(added)
    }

    #[tokio::test]
    async fn the_ledger_is_not_read_for_each_serial_that_was_given_up() {
        let wanted = Wanted::default();
        let added = added(&["SerialBurned", "CertRevoked"], &wanted).await.unwrap();
        assert_eq!(added.len(), 1);
        assert_eq!(added[0].serial, Some(fixtures::serial()));
        assert!(added[0].names.is_empty());
        assert!(added[0].not_after.is_some(), "it is on CRLs until then");
    }

    #[tokio::test]
    async fn every_kind_of_failure_is_listed_with_whose_order_it_was() {
        for kind in ["ChallengeFailed", "CaaCheckFailed", "IssuanceFailed"] {
            let added = added(&["OrderPlaced", kind], &Wanted::default()).await.unwrap();
            let [failed] = added.as_slice() else { panic!("{kind}: {added:?}") };
            assert_eq!(failed.outcome, Outcome::Failed);
            assert_eq!(failed.order, Some(fixtures::order()));
            assert!(failed.account.is_some() && failed.profile.is_some(), "{kind}");
            assert!(!failed.names.is_empty() && failed.reason.is_some(), "{kind}");
        }
    }

    #[tokio::test]
    async fn the_ledger_is_not_read_for_revocations_that_are_not_wanted() {
        let wanted = Wanted { outcomes: vec![Outcome::Failed], ..Wanted::default() };
        assert!(added(&["CertRevoked"], &wanted).await.unwrap().is_empty());
        assert!(added(&["CertRevoked"], &Wanted::default()).await.is_err());
    }
}
