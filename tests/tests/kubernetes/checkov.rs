//! Checkov's opinion of what is installed, with every exception named: run by `make nightly`, for which it is installed.

use std::collections::BTreeSet;

use acceptance::{is_nightly, workspace};
use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::chart::{SETS, render, values};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waivers {
    waiver: Vec<Waiver>,
}

/// A finding that is accepted, on objects whose kind and name begin so, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiver {
    check: String,
    on: String,
    reason: String,
}

#[tokio::test]
async fn checkov_finds_nothing_but_the_named_exceptions() -> anyhow::Result<()> {
    let checkov = workspace().join("target/tools/checkov/bin/checkov");
    if !is_nightly() {
        return Ok(());
    }
    let directory = TempDir::new()?;
    for set in SETS {
        std::fs::write(
            directory.path().join(format!("{set}.yaml")),
            render(&values(set)?)?.text(),
        )?;
    }
    let mut command = tokio::process::Command::new(checkov);
    command.args([
        "--framework",
        "kubernetes",
        "--skip-download",
        "--output",
        "json",
        "--directory",
        ".",
    ]);
    let output = acceptance::run(command, directory.path()).await?;
    let report: Value = serde_json::from_str(&output.stdout).context(output.stderr)?;
    let failed = report["results"]["failed_checks"].as_array().context("a report")?;
    let mut found = BTreeSet::new();
    for finding in failed {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        // Kind, namespace and name.
        let resource = text("resource").replace(".default.", " ");
        found.insert((text("check_id"), resource));
    }
    let waivers = std::fs::read_to_string(workspace().join("tests/checkov-waivers.toml"))?;
    let waivers = toml::from_str::<Waivers>(&waivers)?.waiver;
    for Waiver { check, on, reason } in &waivers {
        ensure!(!reason.trim().is_empty(), "{check} on {on} needs a reason");
        let before = found.len();
        found.retain(|(id, resource)| !(id == check && resource.starts_with(on)));
        ensure!(found.len() < before, "{check} is not found on {on}: its waiver is of no use");
    }
    ensure!(found.is_empty(), "{found:?}");
    Ok(())
}
