//! Files that were cut, changed or put back from an older copy are noticed before anything is issued on them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use acceptance::{Output, Scene, copy_directory};
use anyhow::Context as _;
use tempfile::TempDir;

/// Enough of an event to tell it from all others.
const EVENT_BYTES: usize = 120;

/// A server that was stopped after it issued, with a copy of its directory.
async fn stopped() -> anyhow::Result<(Scene, TempDir)> {
    let mut scene = Scene::start().await?;
    for number in 0..3 {
        scene.client.issue(&[&format!("n{number}.localhost")], &scene.web).await?;
    }
    scene.server.stop().await?;
    let copy = TempDir::new()?;
    copy_directory(&scene.server.data_dir(), copy.path())?;
    Ok((scene, copy))
}

/// The largest file of the directory, which is the log.
fn log_file(directory: &Path) -> anyhow::Result<PathBuf> {
    let mut largest = None;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            largest = largest.max(Some((entry.metadata()?.len(), entry.path())));
        }
    }
    Ok(largest.context("the directory is empty")?.1)
}

/// The start was refused in words that an operator can act on.
fn assert_refused(output: &Output) {
    assert!(!output.status.success(), "it started: {}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    let lines = output.stderr.lines().filter(|line| line.len() > 20).count();
    assert!(lines >= 1, "no word of what to do: {}", output.stderr);
}

#[tokio::test]
async fn a_log_that_was_put_back_from_an_older_copy_is_not_served() -> anyhow::Result<()> {
    let (mut scene, copy) = stopped().await?;
    scene.server.start().await?;
    scene.client.forget_nonces();
    scene.client.issue(&["later.localhost"], &scene.web).await?;
    scene.server.stop().await?;
    let old = log_file(copy.path())?;
    let name = old.file_name().context("a name")?;
    for entry in std::fs::read_dir(scene.server.data_dir())? {
        let path = entry?.path();
        // What SQLite keeps beside the log belongs to the newer one.
        let beside = path.file_name().is_some_and(|it| it != name && is_beside(it, name));
        if beside {
            std::fs::remove_file(path)?;
        }
    }
    std::fs::copy(&old, scene.server.data_dir().join(name))?;
    assert_refused(&scene.server.start_in_vain().await?);
    Ok(())
}

fn is_beside(file: &std::ffi::OsStr, log: &std::ffi::OsStr) -> bool {
    file.to_string_lossy().starts_with(&*log.to_string_lossy())
}

#[tokio::test]
async fn a_log_that_was_cut_is_not_served() -> anyhow::Result<()> {
    let (scene, copy) = stopped().await?;
    let log = scene.server.data_dir().join(log_file(copy.path())?.file_name().context("a name")?);
    let good = std::fs::read(log_file(copy.path())?)?;
    for cut in [good.len() / 4, good.len() / 2, good.len() * 3 / 4] {
        std::fs::write(&log, &good[..cut])?;
        assert_refused(&scene.server.start_in_vain().await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_word_that_was_changed_in_a_stored_event_is_found() -> anyhow::Result<()> {
    let (scene, copy) = stopped().await?;
    let log = scene.server.data_dir().join(log_file(copy.path())?.file_name().context("a name")?);
    let good = std::fs::read(log_file(copy.path())?)?;
    // SQLite leaves old copies of moved rows behind, which nobody reads: one of the equal places counts.
    let mut found: BTreeMap<&[u8], bool> = BTreeMap::new();
    for word in ["OrderPlaced", "ChallengeValidated", "CertificateSigned", "SerialReserved"] {
        for place in places(&good, word.as_bytes()) {
            let mut changed = good.clone();
            changed[place + 1] ^= 1;
            std::fs::write(&log, &changed)?;
            let verified = scene.server.operate(&["audit", "verify"]).await?;
            assert!(!verified.stderr.contains("panicked"), "{}", verified.stderr);
            let event = &good[place..(place + EVENT_BYTES).min(good.len())];
            *found.entry(event).or_default() |= !verified.status.success();
        }
    }
    assert!(found.len() >= 12, "only {} events were changed", found.len());
    let missed = found.values().filter(|found| !**found).count();
    assert_eq!(missed, 0, "of {} changed events", found.len());
    Ok(())
}

fn places(bytes: &[u8], word: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(word.len()).enumerate();
    windows.filter(|(_, window)| *window == word).map(|(place, _)| place).collect()
}
