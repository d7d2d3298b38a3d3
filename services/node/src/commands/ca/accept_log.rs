//! `certmill ca accept-log`: the operator's decision that the log is what it is, after a restore.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use ca::{LogPositions, give_to_directory_owner, journal::Journal};
use domain::Timestamp;
use runtime::Config;
use serde::Serialize;

use crate::{
    clock,
    failure::{Explain as _, Failure},
    log::Log,
    operator,
    output::Output,
    signer_settings,
};

/// Where decisions are kept, one line of JSON each.
const RECORD: &str = "accepted-logs.jsonl";

/// A decision, kept for ever.
#[derive(Serialize)]
struct Decision<'a> {
    at: Timestamp,
    operator: String,
    reason: &'a str,
    streams: Vec<Accepted>,
}

/// A stream that ends before what was remembered.
#[derive(Serialize)]
struct Accepted {
    stream: String,
    remembered: u64,
    found: u64,
}

/// Accepts every stream that ends early, after writing the decision down. The signer must not run.
pub(super) async fn run(config: &Config, reason: &str, out: &mut Output) -> Result<(), Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::new("the reason is empty")).advise("Say it with --reason.");
    }
    let log = Log::open(config).await?;
    let settings = signer_settings::read(config)?;
    // Held until the end: a signer that runs would write its own position over the accepted one.
    let _journal = Journal::open(settings.journal_dir())?;
    let mut positions = LogPositions::open(settings.position_file())?;
    let mut streams = Vec::new();
    for stream in signer::WATCHED_STREAMS {
        let found = log.store().last_sequence(stream).await?;
        if let Err(back) = positions.check(&stream.to_string(), found.0) {
            let (remembered, found) = (back.remembered, back.found);
            streams.push(Accepted { stream: back.stream, remembered, found });
        }
    }
    // Before anything is accepted: the signer must not start on such a log without having compared.
    mark(&settings).while_doing("cannot have the signer compare its journal with the log")?;
    if streams.is_empty() {
        return out.line(
            "the log did not go backwards; the signer compares its journal with it when it starts",
        );
    }
    let decision = Decision { at: clock::now(), operator: operator::name(), reason, streams };
    record(settings.dir(), &decision).while_doing("cannot write the decision down")?;
    for accepted in &decision.streams {
        positions.accept(&accepted.stream, accepted.found)?;
        out.either(
            accepted,
            format_args!(
                "accepted that stream {} ends at {}, though {} was acknowledged",
                accepted.stream, accepted.found, accepted.remembered
            ),
        )?;
    }
    Ok(())
}

/// Has the next start put back what the journal knows and a restored log does not.
fn mark(settings: &signer::Settings) -> io::Result<()> {
    let mark = settings.restored_mark();
    let file = File::create(&mark)?;
    give_to_directory_owner(&file, &mark)?;
    file.sync_all()?;
    File::open(settings.dir())?.sync_all()
}

fn record(dir: &Path, decision: &Decision<'_>) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(decision)?;
    line.push(b'\n');
    let path = dir.join(RECORD);
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
    give_to_directory_owner(&file, &path)?;
    file.write_all(&line)?;
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{fixtures, output::Format};

    #[tokio::test]
    async fn a_log_that_went_backwards_is_accepted_once_and_the_decision_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[]);
        drop(fixtures::log(dir.path()));
        fs::create_dir_all(dir.path().join("signer")).unwrap();
        let path = dir.path().join("signer/log-position.json");
        LogPositions::open(&path).unwrap().set("ledger", 7).unwrap();

        let mut out = Output::new(Format::Text);
        run(&config, "restored", &mut out).await.unwrap();
        assert!(LogPositions::open(&path).unwrap().check("ledger", 0).is_ok());
        assert!(dir.path().join("signer/log-restored").exists());
        run(&config, "again", &mut out).await.unwrap();
        let kept = fs::read_to_string(dir.path().join("signer").join(RECORD)).unwrap();
        assert_eq!(kept.lines().count(), 1);
        assert!(kept.contains(r#""reason":"restored""#), "{kept}");

        LogPositions::open(&path).unwrap().set("ledger", 9).unwrap();
        run(&config, "restored again", &mut out).await.unwrap();
        let kept = fs::read_to_string(dir.path().join("signer").join(RECORD)).unwrap();
        assert_eq!(kept.lines().count(), 2, "{kept}");
    }

    #[tokio::test]
    async fn a_journal_that_cannot_be_opened_is_not_said_to_be_in_use() {
        let dir = tempfile::tempdir().unwrap();
        drop(fixtures::log(dir.path()));
        fs::write(dir.path().join("signer"), "").unwrap();
        let config = fixtures::config(dir.path(), &[]);
        let failure = run(&config, "restored", &mut Output::new(Format::Text)).await.unwrap_err();
        let failure = failure.to_string();
        assert!(failure.contains("signer/journal"), "{failure}");
        assert!(!failure.to_lowercase().contains("stop"), "{failure}");
    }

    #[tokio::test]
    async fn a_log_that_root_accepts_is_one_that_the_servers_user_can_start_on() {
        use std::os::unix::fs::{MetadataExt as _, chown};
        const SERVER: u32 = 65_532;
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[]);
        drop(fixtures::log(dir.path()));
        let signer = dir.path().join("signer");
        fs::create_dir(&signer).unwrap();
        LogPositions::open(signer.join("log-position.json")).unwrap().set("ledger", 7).unwrap();
        if chown(&signer, Some(SERVER), Some(SERVER)).is_err() {
            return eprintln!("skipped: it needs root");
        }
        run(&config, "restored", &mut Output::new(Format::Text)).await.unwrap();
        for name in ["log-position.json", "log-restored", RECORD, "journal", "journal/head"] {
            let owner = fs::metadata(signer.join(name)).unwrap().uid();
            assert_eq!(owner, SERVER, "{name}");
        }
    }

    #[tokio::test]
    async fn beside_a_running_signer_nothing_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        drop(fixtures::log(dir.path()));
        let _signer = Journal::open(dir.path().join("signer/journal")).unwrap();
        let config = fixtures::config(dir.path(), &[]);
        let failure = run(&config, "restored", &mut Output::new(Format::Text)).await.unwrap_err();
        assert!(failure.to_string().contains("stop that one first"), "{failure}");
    }
}
