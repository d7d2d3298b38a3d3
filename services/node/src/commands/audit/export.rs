//! `certmill audit export`: every certificate that was issued or revoked, and every order that failed, as a table.

use acme::{base64url, revocation::PresentedCertificate};
use domain::{
    AccountId, Identifier, ProfileName,
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

/// Who was asked for and was not met yet.
struct Missing<'a> {
    account: Option<&'a AccountId>,
    profile: Option<&'a ProfileName>,
}

/// Prints what is wanted.
///
/// # Errors
/// When the log is out of reach or damaged, and when nothing can be wanted: an empty table would pass for an answer.
pub(super) async fn run(config: &Config, wanted: &Wanted, out: &mut Output) -> Result<(), Failure> {
    if let (Some(since), Some(until)) = (wanted.since, wanted.until)
        && since >= until
    {
        return Err(Failure::new("--until is not after --since: there is no time between"));
    }
    let log = Log::open(config).await?;
    if out.format() == Format::Text {
        out.line(csv_line(HEADER)?)?;
    }
    let mut missing = Missing::of(wanted);
    let mut tail = log.tail();
    loop {
        let page = tail.next().await?;
        if page.is_empty() {
            out.flush()?;
            return missing.refuse(config, &log).await;
        }
        for message in &page {
            for record in records(&log, message).await? {
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
            let unknown =
                format!("no profile {profile} is configured, and the audit has nothing of it");
            return Err(Failure::new(unknown))
                .advise("`certmill check-config` prints the profiles there are.");
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

/// What a message adds to the audit.
async fn records(log: &Log, message: &Message) -> Result<Vec<Record>, Failure> {
    let mut records = Vec::new();
    for event in &message.envelope.events {
        match message.subject.stream() {
            Stream::Ledger if event.is("CertificateSigned") => {
                if let LedgerEvent::CertificateSigned(signed) = event.decode()? {
                    records.push(issued(message, signed)?);
                }
            }
            Stream::Revocations if event.is("CertRevoked") => {
                let RevocationEvent::CertRevoked(revoked) = event.decode()?;
                records.push(self::revoked(log, message, revoked).await?);
            }
            Stream::Orders(_) => records.extend(failed(log, message, event).await?),
            Stream::Ledger | Stream::Revocations | Stream::Accounts | Stream::Administration => {}
        }
    }
    Ok(records)
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

/// A revocation, with what the ledger says of the certificate; one that was given up after a crash is not there.
async fn revoked(log: &Log, message: &Message, revoked: CertRevoked) -> Result<Record, Failure> {
    let mut found = record(message, Outcome::Revoked);
    for entry in log.ledger(&revoked.serial).await? {
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
    Ok(found)
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
