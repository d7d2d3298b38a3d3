//! Checkov's opinion of what is installed and of the Dockerfile, with every exception named: run by `make nightly`, for which it is installed.

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
    let checkov = workspace().join("target/tools/checkov/bin");
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
    std::fs::copy(workspace().join("Dockerfile"), directory.path().join("Dockerfile"))?;
    // Not the script itself, which names the directory that it was installed from.
    let mut command = tokio::process::Command::new(checkov.join("python"));
    command.arg(checkov.join("checkov")).args([
        "--framework",
        "kubernetes",
        "dockerfile",
        "--skip-download",
        "--output",
        "json",
        "--directory",
        ".",
    ]);
    let output = acceptance::run(command, directory.path()).await?;
    let reports: Vec<Value> = serde_json::from_str(&output.stdout).context(output.stderr)?;
    let failed = reports.iter().filter_map(|it| it["results"]["failed_checks"].as_array());
    let mut found = BTreeSet::new();
    for finding in failed.flatten() {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        // Kind, namespace and name.
        let resource = text("resource").trim_start_matches('/').replace(".ca.", " ");
        found.insert((text("check_id"), resource));
    }
    ensure!(reports.len() == 2, "a report on Kubernetes and one on the Dockerfile");
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
