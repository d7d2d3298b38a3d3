//! Issues certificates in a closed loop against several ACME servers, side by side, and compares what they cost.
//!
//! It starts and stops every server itself, on loopback; ports and directories are its own. `make bench` runs it.

mod applicant;
mod bench;
mod closed_loop;
mod machine;
mod options;
mod process;
mod report;
mod samples;
mod server;
mod targets;

use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use self::{options::Options, report::Report};

// One thread: the client shares the processors with the server it measures and must not take more than it needs.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let report = tokio::select! {
        report = bench::run(&options) => report?,
        // Dropping the run stops its servers.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    };
    publish(&report, &options)?;
    match report.failures() {
        0 => Ok(()),
        failures => bail!("{failures} issuances failed: the figures are not to be trusted"),
    }
}

fn publish(report: &Report, options: &Options) -> anyhow::Result<()> {
    let text = report.to_markdown();
    writeln!(std::io::stdout(), "\n{text}")?;
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &options.markdown {
        report::markdown::append(path, &text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Tells the person who waits how far the run is; figures go to standard output only.
fn progress(text: &str) {
    // Nobody may be listening any more, which is no reason to stop.
    let _ = writeln!(std::io::stderr(), "load: {text}");
}
