//! `certmill audit`: whether what is stored is whole and does not contradict itself, and what it comes to.

mod export;
mod ledger;
mod record;

use ca::journal;
use domain::certificate::LedgerEvent;
use embedded::Embedded;
use eventstore::Stream;
use runtime::{Config, config::EventLogKind};
use serde::Serialize;

use crate::{
    cli::AuditCommand,
    failure::{Explain as _, Failure},
    log::Log,
    output::Output,
    signer_settings,
};
use ledger::LedgerCheck;

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
    findings.push(ledger(config).await);
    findings.extend(journal(config).await?);
    let problems: usize = findings.iter().map(|finding| finding.problems.len()).sum();
    for finding in &findings {
        out.either(finding, describe(finding))?;
    }
    out.flush()?;
    match problems {
        0 => Ok(()),
        problems => Err(Failure::new(format!("{problems} problems were found"))).advise(
            "Keep a copy of data_dir as it is, then restore the newest backup that verifies.",
        ),
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
    if !dir.is_dir() {
        return Err(Failure::new(format!("there is no directory {}", dir.display())))
            .advise("Set data_dir to the directory of a server that was started at least once.");
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
        Err(damage) => bad("event log", vec![Failure::from(damage).to_string()]),
    })
}

/// The ledger of certificates, by its contents.
async fn ledger(config: &Config) -> Finding {
    let mut check = LedgerCheck::default();
    let read = async {
        let log = Log::open(config).await?;
        log.each(Stream::Ledger, |message| {
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
    if problems.is_empty() { good("ledger", holds) } else { bad("ledger", problems) }
}

/// The signer's journal, where this machine has one.
async fn journal(config: &Config) -> Result<Option<Finding>, Failure> {
    let dir = signer_settings::read(config)?.journal_dir();
    if !dir.is_dir() {
        return Ok(None);
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
        Err(damage) => bad("journal", vec![Failure::from(damage).to_string()]),
    }))
}

fn good(checked: &'static str, holds: String) -> Finding {
    Finding { checked, holds: Some(holds), problems: Vec::new() }
}

fn bad(checked: &'static str, problems: Vec<String>) -> Finding {
    Finding { checked, holds: None, problems }
}
