//! `docs/metrics.md` and what a server shows: the same metrics, named as Prometheus wants.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, Stdio},
};

use acceptance::{Scene, tool, workspace};
use anyhow::{Context as _, ensure};
use runtime::metrics::names::{ALL, Kind};

use crate::chart::renew;

/// What the process itself is measured by, under names that every Prometheus client uses.
const PROCESS: [(&str, &str, &str); 4] = [
    ("process_resident_memory_bytes", "gauge", "Memory in use."),
    ("process_cpu_seconds_total", "counter", "Processor time used."),
    ("process_open_fds", "gauge", "Open file descriptors."),
    ("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970."),
];

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// The labels of each metric.
pub(crate) fn labels() -> BTreeMap<String, BTreeSet<String>> {
    let own = ALL.iter().map(|metric| {
        let labels = metric.labels.iter().map(|label| (*label).to_owned());
        (metric.name.to_owned(), labels.collect())
    });
    let process = PROCESS.iter().map(|(name, _, _)| ((*name).to_owned(), BTreeSet::new()));
    own.chain(process).collect()
}

fn document() -> String {
    let mut text = String::from(
        "# Metrics\n\nWhat `/metrics` of the operations listener shows. Written by `make golden` from\n\
         `libs/runtime/src/metrics/names.rs`; labels have few values, none of which a client chose.\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in ALL {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind(metric.kind), labels.join(", "));
        text.push_str(&format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help));
    }
    for (name, kind, help) in PROCESS {
        text.push_str(&format!("| `{name}` | {kind} |  | {help} |\n"));
    }
    text
}

#[test]
fn the_document_lists_every_metric() -> anyhow::Result<()> {
    let file = workspace().join("docs/metrics.md");
    if renew() {
        std::fs::write(&file, document())?;
    }
    ensure!(std::fs::read_to_string(&file)? == document(), "run `make golden`");
    Ok(())
}

#[test]
fn every_metric_is_recorded_somewhere() -> anyhow::Result<()> {
    let mut sources = String::new();
    for root in ["libs/runtime/src", "services"] {
        append(&workspace().join(root), &mut sources)?;
    }
    let names = std::fs::read_to_string(workspace().join("libs/runtime/src/metrics/names.rs"))?;
    for metric in ALL {
        let declared = names.lines().find(|line| line.contains(&format!("\"{}\"", metric.name)));
        let constant =
            declared.and_then(|line| line.split_whitespace().nth(1)).context("a name")?;
        ensure!(sources.contains(&format!("names::{constant}")), "{constant} is never recorded");
    }
    Ok(())
}

fn append(directory: &std::path::Path, text: &mut String) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            append(&path, text)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path)?);
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_alerts_see_the_rise_of_is_shown_before_it_is_first_counted() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let shown = scene.server.metrics().await?;
    for expected in [
        r#"certmill_certificates_issued_total{profile="default"} 0"#,
        r#"certmill_issuances_failed_total{profile="default"} 0"#,
        r#"certmill_validations_total{type="http-01",outcome="valid",problem=""} 0"#,
    ] {
        ensure!(shown.lines().any(|line| line == expected), "not shown: {expected}\n{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_shows_what_the_document_says_and_promtool_likes_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene.client.issue(&["metrics.localhost"], &scene.web).await?;
    let shown = scene.server.metrics().await?;
    let labels = labels();
    let mut seen = BTreeSet::new();
    for line in shown.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, own) = series(line);
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let name = base.filter(|base| labels.contains_key(*base)).unwrap_or(&name).to_owned();
        let documented = labels.get(&name).with_context(|| format!("{name} is not documented"))?;
        ensure!(own == *documented, "{line} has other labels than {documented:?}");
        seen.insert(name);
    }
    for expected in [
        "certmill_http_requests_total",
        "certmill_order_ready_seconds",
        "certmill_issuance_seconds",
        "certmill_append_seconds",
        "certmill_read_model_seconds",
        "certmill_view_reads_total",
        "certmill_journal_sync_seconds",
        "certmill_signing_seconds",
        "certmill_feed_lag_seconds",
        "certmill_crl_this_update_timestamp_seconds",
        "certmill_ca_not_after_timestamp_seconds",
        "certmill_log_last_sequence",
        "certmill_tls_not_after_timestamp_seconds",
        "certmill_build_info",
        "certmill_part_ready",
        "certmill_nonces_total",
    ] {
        ensure!(seen.contains(expected), "{expected} is not shown in\n{shown}");
    }
    let mut promtool = Command::new(tool("promtool")?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().context("a standard input")?.write_all(shown.as_bytes())?;
    let said = promtool.wait_with_output()?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

/// The name and the labels of a line, without the buckets' bound.
fn series(line: &str) -> (String, BTreeSet<String>) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap_or_default().to_owned(), BTreeSet::new());
    };
    let inside = rest.rsplit_once('}').map_or("", |(inside, _)| inside);
    let labels = inside.split("\",").filter_map(|pair| pair.split('=').next());
    let labels = labels.filter(|label| !label.is_empty() && *label != "le").map(str::to_owned);
    (name.to_owned(), labels.collect())
}
