//! Alerts and the dashboard: promtool tests the rules, and every query names metrics and labels that exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use acceptance::{run, tool, workspace};
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    chart::{directory, render, values, yaml},
    metrics::labels,
};

/// What others measure.
const FOREIGN: [&str; 2] =
    ["kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"];
/// Labels that Prometheus adds to every series of ours.
const ADDED: [&str; 4] = ["le", "pod", "namespace", "job"];
/// How the chart selects the series of one release.
const OWN: &str = r#"namespace="ca",job="certmill-ops""#;

async fn promtool(arguments: &[&str]) -> anyhow::Result<String> {
    promtool_in(&directory().join("alerts"), arguments).await
}

async fn promtool_in(files: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(tool("promtool")?);
    command.args(arguments);
    run(command, files).await?.success()
}

#[tokio::test]
async fn the_alerts_fire_when_they_should_and_only_then() -> anyhow::Result<()> {
    promtool(&["check", "rules", "certmill.rules.yaml"]).await?;
    promtool(&["test", "rules", "certmill.test.yaml"]).await.map(drop)
}

/// The rules' file.
fn rules() -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(directory().join("alerts/certmill.rules.yaml"))?;
    let document = yaml(&text)?.into_iter().next().context("rules")?;
    Ok(document["groups"][0]["rules"].as_array().context("rules")?.clone())
}

#[test]
fn every_alert_is_tested_says_what_to_do_and_is_installed() -> anyhow::Result<()> {
    let tests = std::fs::read_to_string(directory().join("alerts/certmill.test.yaml"))?;
    let page = std::fs::read_to_string(workspace().join("docs/operations.md"))?;
    let rules = rules()?;
    let installed: Vec<_> = installed()?.iter().map(of_any_release).collect::<Result<_, _>>()?;
    ensure!(installed == rules, "the chart installs other rules");
    for rule in rules {
        let name = rule["alert"].as_str().context("a name")?;
        ensure!(tests.contains(name), "{name} is not tested");
        ensure!(page.contains(&format!("\n| {name} | ")), "no page says what to do about {name}");
        ensure!(
            ["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default())
        );
        let annotations = &rule["annotations"];
        ensure!(
            annotations["summary"].is_string() && annotations["description"].is_string(),
            "{name}"
        );
    }
    Ok(())
}

#[test]
fn every_alert_asks_for_what_is_measured() -> anyhow::Result<()> {
    for rule in rules()?.iter().chain(&installed()?) {
        check(rule["expr"].as_str().context("an expression")?)?;
    }
    Ok(())
}

/// The rules that the chart installs.
fn installed() -> anyhow::Result<Vec<Value>> {
    let rendered = render(&values("everything")?)?;
    let spec = &rendered.object("PrometheusRule", "certmill")?["spec"];
    Ok(spec["groups"][0]["rules"].as_array().context("rules")?.clone())
}

/// An installed rule without what makes it one of its release.
fn of_any_release(rule: &Value) -> anyhow::Result<Value> {
    let mut rule = rule.clone();
    let expression = rule["expr"].as_str().context("an expression")?;
    let expression = expression
        .replace(&format!("{{{OWN}}}"), "")
        .replace(&format!("{OWN},"), "")
        .replace(r#"{namespace="ca",persistentvolumeclaim"#, "{persistentvolumeclaim")
        .replace("data-certmill-", "data-.*certmill.*-");
    rule["expr"] = expression.into();
    let labels = rule["labels"].as_object_mut().context("labels")?;
    ensure!(labels.remove("namespace") == Some("ca".into()), "another namespace");
    ensure!(labels.remove("job") == Some("certmill-ops".into()), "another job");
    Ok(rule)
}

#[tokio::test]
async fn what_a_fleet_lacks_is_noticed_beside_another_one_that_works() -> anyhow::Result<()> {
    let files = TempDir::new()?;
    let rules = json!({ "groups": [{ "name": "certmill", "rules": installed()? }] });
    std::fs::write(files.path().join("rules.yaml"), rules.to_string())?;
    let series = |of: &str, metric: &str, labels: &str, values: &str| json!({ "series": format!("{metric}{{{of},{labels}}}"), "values": values });
    let (own, other) = (OWN, r#"namespace="staging",job="certmill-ops""#);
    let finalized = r#"resource="finalize",status="200""#;
    let firing = |alert: &str| {
        json!({
            "expr": format!(r#"count by (namespace, job) (ALERTS{{alertname="{alert}",alertstate="firing"}})"#),
            "eval_time": "40m", "exp_samples": [{ "labels": format!("{{{OWN}}}"), "value": 1 }],
        })
    };
    let test = json!({
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [
                series(other, "certmill_part_ready", r#"part="signer""#, "1x60"),
                series(other, "certmill_part_ready", r#"part="api""#, "1x60"),
                series(other, "certmill_certificates_issued_total", r#"profile="default""#, "0+9x60"),
                series(other, "certmill_http_requests_total", finalized, "0+9x60"),
                series(own, "certmill_part_ready", r#"part="api""#, "1x60"),
                series(own, "certmill_http_requests_total", finalized, "0+1x60"),
            ],
            "promql_expr_test": [firing("CertmillSignerMissing"), firing("CertmillNothingIssued")],
        }],
    });
    std::fs::write(files.path().join("test.yaml"), test.to_string())?;
    promtool_in(files.path(), &["check", "rules", "rules.yaml"]).await?;
    promtool_in(files.path(), &["test", "rules", "test.yaml"]).await.map(drop)
}

#[test]
fn every_panel_asks_for_what_is_measured_and_every_metric_has_one() -> anyhow::Result<()> {
    let text = std::fs::read_to_string(directory().join("dashboards/certmill.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let (mut ids, mut shown) = (BTreeSet::new(), String::new());
    for panel in panels {
        ensure!(ids.insert(panel["id"].as_u64()), "two panels are {}", panel["id"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().context("a query")?;
            check(query)?;
            shown.push_str(query);
        }
    }
    for metric in labels().keys() {
        ensure!(shown.contains(metric), "no panel shows {metric}");
    }
    Ok(())
}

#[test]
fn a_query_for_what_is_not_measured_is_noticed() {
    for wrong in [
        "rate(certmill_certificates_total[5m])",
        "certmill_replies_held_bucket",
        "sum by (colour) (certmill_replies_held)",
        "certmill_nonces_total{result=\"refused\"}",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
    assert!(check("sum by (outcome) (rate(certmill_nonces_total{outcome=\"a\"}[5m]))").is_ok());
}

/// Passes when a query names only metrics and labels that there are.
fn check(query: &str) -> anyhow::Result<()> {
    let known = labels();
    let mut allowed: BTreeSet<String> = ADDED.iter().map(|label| (*label).to_owned()).collect();
    for name in words(query).filter(|word| is_metric(word)) {
        if FOREIGN.contains(&name) {
            allowed.insert("persistentvolumeclaim".to_owned());
            continue;
        }
        allowed.extend(labels_of(&known, name)?.iter().cloned());
    }
    for label in labels_in(query) {
        ensure!(allowed.contains(&label), "{query}: no series has the label {label}");
    }
    Ok(())
}

fn labels_of<'a>(
    known: &'a BTreeMap<String, BTreeSet<String>>,
    name: &str,
) -> anyhow::Result<&'a BTreeSet<String>> {
    let parts = ["_bucket", "_count", "_sum"];
    let histogram = parts.iter().find_map(|part| name.strip_suffix(part));
    // Only histograms have parts.
    let base = histogram.filter(|base| base.ends_with("_seconds")).unwrap_or(name);
    known.get(base).with_context(|| format!("{name} is not measured"))
}

fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

fn is_metric(word: &str) -> bool {
    ["certmill_", "process_", "kubelet_"].iter().any(|prefix| word.starts_with(prefix))
}

/// The labels that a query selects by and groups by.
fn labels_in(query: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    for selector in query.split('{').skip(1) {
        let inside = selector.split('}').next().unwrap_or_default();
        let pairs = inside.split(',').filter_map(|pair| pair.split(['=', '!']).next());
        labels.extend(pairs.map(|label| label.trim().to_owned()));
    }
    for group in query.split("by (").skip(1) {
        let inside = group.split(')').next().unwrap_or_default();
        labels.extend(inside.split(',').map(|label| label.trim().to_owned()));
    }
    labels
}
