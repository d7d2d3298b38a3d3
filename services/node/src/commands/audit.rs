//! `certmill audit`: whether what is stored is whole and does not contradict itself, and what it comes to.

mod export;
mod ledger;
mod record;

use std::{fs, io};

use ca::journal;
use domain::certificate::LedgerEvent;
use embedded::{Embedded, OpenError};
use eventstore::Stream;
use runtime::{Config, config::EventLogKind};
use serde::Serialize;

use crate::{
    cli::AuditCommand,
    failure::{Explain as _, Failure},
    log::Log,
    output::Output,
    ports, signer_settings,
};
use ledger::LedgerCheck;

/// What nobody could look at is no damage, and no reason to restore a backup.
const UNREADABLE_ADVICE: &str = "Run the command as the server's user, or as root, and check that the disks under data_dir \
     are mounted and healthy. This does not mean that the data is damaged.";

/// One thing that was looked at, and what was found.
#[derive(Serialize)]
struct Finding {
    /// What was looked at.
    checked: &'static str,
    /// What is there when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(
    config: &Config,
    command: &AuditCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify => verify(config, out).await,
        AuditCommand::Export(wanted) => export::run(config, wanted, out).await,
    }
}

/// Verifies everything there is, and fails after telling all of it when something is wrong.
async fn verify(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let mut findings = Vec::new();
    if config.event_log.kind == EventLogKind::Embedded {
        findings.push(log_file(config).await?);
    }
    findings.push(ledger(config).await?);
    let journal = journal(config).await;
    let unread = journal.map(|finding| findings.extend(finding));
    let problems: usize = findings.iter().map(|finding| finding.problems.len()).sum();
    conclude(problems, tell(&findings, out).and(unread))
}

fn tell(findings: &[Finding], out: &mut Output) -> Result<(), Failure> {
    for finding in findings {
        out.either(finding, describe(finding))?;
    }
    out.flush()
}

/// A problem is one also where nobody reads all that is told of it: `certmill audit verify | grep -q PROBLEM`.
fn conclude(problems: usize, told: Result<(), Failure>) -> Result<(), Failure> {
    match problems {
        0 => told,
        problems => Err(Failure::new(match problems {
            1 => "a problem was found".to_owned(),
            problems => format!("{problems} problems were found"),
        }))
        .advise("Keep a copy of data_dir as it is, then restore the newest backup that verifies."),
    }
}

fn describe(finding: &Finding) -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(finding.holds.as_ref().map(|holds| format!("{}: good, {holds}", finding.checked)));
    let problem = |problem: &String| format!("{}: PROBLEM: {problem}", finding.checked);
    lines.extend(finding.problems.iter().map(problem));
    lines.join("\n")
}

/// The files of the embedded log: its chain, its end, its indexes.
async fn log_file(config: &Config) -> Result<Finding, Failure> {
    let dir = config.data_dir.clone();
    if let Err(error) = Embedded::open_read_only(&dir)
        && (error.is_unreadable() || matches!(error, OpenError::NewerRelease { .. }))
    {
        // What nobody could look at is no damage, and no reason to restore a backup.
        return Err(ports::not_read(&dir, error));
    }
    let verified = tokio::task::spawn_blocking(move || Embedded::verify_directory(&dir)).await?;
    Ok(match verified {
        Ok(verified) => good(
            "event log",
            format!(
                "{} messages ({} pruned), {} index entries",
                verified.messages, verified.pruned, verified.indexed
            ),
        ),
        Err(damage) if damage.is_unreadable() => {
            let dir = config.data_dir.display();
            let doing = format!("cannot read the event log in {dir}");
            return Err(damage).while_doing(doing).advise(UNREADABLE_ADVICE);
        }
        Err(damage) => bad("event log", vec![Failure::from(damage).to_string()]),
    })
}

/// The ledger of certificates, by its contents.
async fn ledger(config: &Config) -> Result<Finding, Failure> {
    let log = match (Log::open(config).await, config.event_log.kind) {
        (Err(failure), EventLogKind::Jetstream) => return Err(failure),
        (opened, EventLogKind::Embedded | EventLogKind::Jetstream) => opened,
    };
    let mut check = LedgerCheck::default();
    let read = async {
        log?.each(Stream::Ledger, |message| {
            for event in message.envelope.decode::<LedgerEvent>()? {
                check.see(message.sequence, &event);
            }
            Ok(())
        })
        .await
    };
    let unread = read.await.err().map(|failure: Failure| failure.to_string());
    let (holds, mut problems) = check.finish();
    problems.extend(unread);
    Ok(if problems.is_empty() { good("ledger", holds) } else { bad("ledger", problems) })
}

/// The signer's journal, where this machine has one.
async fn journal(config: &Config) -> Result<Option<Finding>, Failure> {
    let dir = signer_settings::read(config)?.journal_dir();
    match fs::metadata(&dir) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let doing = format!("cannot read the journal in {}", dir.display());
            return Err(error).while_doing(doing).advise(UNREADABLE_ADVICE);
        }
    }
    let verified = tokio::task::spawn_blocking(move || journal::verify(&dir)).await?;
    Ok(Some(match verified {
        Ok(summary) => good(
            "journal",
            format!(
                "{} records in {} files, {} reservations neither issued nor given up",
                summary.last_record, summary.segments, summary.pending
            ),
        ),
        Err(unread @ journal::OpenError::Io { .. }) => {
            return Err(unread).while_doing("cannot read the journal").advise(UNREADABLE_ADVICE);
        }
        Err(damage) => bad("journal", vec![Failure::from(damage).to_string()]),
    }))
}

fn good(checked: &'static str, holds: String) -> Finding {
    Finding { checked, holds: Some(holds), problems: Vec::new() }
}

fn bad(checked: &'static str, problems: Vec<String>) -> Finding {
    Finding { checked, holds: None, problems }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixtures, output::Format};

    async fn refused(config: &Config) -> String {
        verify(config, &mut Output::new(Format::Text)).await.unwrap_err().to_string()
    }

    #[test]
    fn a_problem_is_not_lost_with_the_reader_of_the_output() {
        let gone = || Err(Failure::of_output(&std::io::ErrorKind::BrokenPipe.into()));
        assert!(!conclude(1, gone()).unwrap_err().is_reader_gone());
        assert!(conclude(0, gone()).unwrap_err().is_reader_gone());
    }

    #[tokio::test]
    async fn a_log_that_is_not_here_is_not_said_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("ca")).unwrap();
        let failure = refused(&fixtures::config(dir.path(), &[])).await;
        assert!(failure.contains("events.db"), "{failure}");
        assert!(failure.contains(&format!("now it is {}", dir.path().display())), "{failure}");
        assert!(!failure.contains("backup"), "{failure}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_not_said_to_be_damaged() {
        for unread in ["head", "signer/journal/journal-00000001.log", "signer"] {
            let dir = tempfile::tempdir().unwrap();
            let config = fixtures::config(dir.path(), &[]);
            let log = fixtures::log(dir.path());
            fixtures::append(&log, &["AccountCreated"]).await;
            log.close().await;
            drop(log);
            let signer = signer_settings::read(&config).unwrap();
            drop(journal::Journal::open(signer.journal_dir()).unwrap());
            verify(&config, &mut Output::new(Format::Text)).await.unwrap();

            // Nobody reads a directory as a file, nor a file as a directory: not even root.
            let path = dir.path().join(unread);
            if path.is_dir() {
                fs::remove_dir_all(&path).unwrap();
                fs::write(&path, "").unwrap();
            } else {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
            let failure = refused(&config).await;
            assert!(failure.contains("as the server's user"), "{unread}: {failure}");
            assert!(!failure.contains("backup"), "{unread}: {failure}");
        }
    }

    #[tokio::test]
    async fn a_log_that_is_out_of_reach_is_not_said_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        // No server listens on the port of a socket that is bound and not listening.
        let taken = tokio::net::TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = format!("event_log.servers=[\"nats://{}\"]", taken.local_addr().unwrap());
        let sets = [
            "event_log.kind=jetstream",
            &server,
            "event_log.replicas=1",
            "event_log.allow_unsafe_dev=true",
            "redis.url=redis://127.0.0.1",
        ];
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failure = refused(&fixtures::config(dir.path(), &sets)).await;
        assert!(failure.contains("event_log.servers"), "{failure}");
        assert!(!failure.contains("backup"), "{failure}");
    }

    /// What is said of a database after its file was changed.
    async fn told_of(change: impl Fn(&mut Vec<u8>)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let log = fixtures::log(dir.path());
        fixtures::append(&log, &["AccountCreated"]).await;
        log.close().await;
        drop(log);
        let file = dir.path().join("events.db");
        let mut bytes = fs::read(&file).unwrap();
        change(&mut bytes);
        fs::write(file, bytes).unwrap();
        refused(&fixtures::config(dir.path(), &[])).await
    }

    #[tokio::test]
    async fn a_database_that_is_none_any_more_or_was_emptied_is_damaged() {
        for failure in [told_of(|bytes| bytes.fill(7)).await, told_of(Vec::clear).await] {
            assert!(failure.contains("problems were found"), "{failure}");
            assert!(failure.contains("backup"), "{failure}");
        }
    }

    #[tokio::test]
    async fn a_database_of_a_newer_release_is_not_said_to_be_damaged() {
        // Where SQLite keeps the number that a program gives its tables.
        let failure = told_of(|bytes| bytes[60..64].copy_from_slice(&[0, 0, 0, 99])).await;
        assert!(failure.contains("a newer release") && failure.contains("99"), "{failure}");
        assert!(!failure.contains("backup"), "{failure}");
    }
}
