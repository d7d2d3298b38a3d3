//! The plan of a run: every server in every round, then what becomes of servers that are filled.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    applicant::{dns::DnsServer, responder::Responder},
    closed_loop::{Limit, Surroundings, Workers},
    machine::Machine,
    options::Options,
    process::Usage,
    progress,
    report::{Comparison, Filling, Point, Report, Round},
    samples::Samples,
    server::{Kind, Server, Setup},
};

/// A server is done with what it was asked for when its processor time stands still for this long.
const QUIET: Duration = Duration::from_millis(100);
/// A server that never rests is measured after this long.
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);
/// A server that stops answering more often cannot be measured.
const MAX_HANGS: usize = 10;
/// How many workers fill a server.
const FILL_WORKERS: usize = 16;
/// How often a server that is filled is looked at.
const FILL_POINTS: u64 = 4;

/// Runs everything the command line asks for.
///
/// # Errors
/// When a server cannot be started or ends; failed issuances are in the report.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Report> {
    let machine = Machine::inspect(&options.work_dir).await?;
    let mut report = Report::new(machine, options);
    let responder = Responder::start().await?;
    let dns = DnsServer::start().await?;
    let bench = Bench {
        setup: Setup { options, dns: dns.address(), http01: responder.address() },
        surroundings: Surroundings {
            responder,
            waits: options.waits(),
            names: Arc::new(AtomicU64::new(1)),
        },
    };

    let servers = report.keep_installed(&options.servers, options).await;
    let to_fill = match options.fill_orders {
        0 => Vec::new(),
        _ => report.keep_installed(&options.fill_servers, options).await,
    };
    ensure!(!servers.is_empty() || !to_fill.is_empty(), "there is no server to measure");

    let mut samples = BTreeMap::new();
    for round in 1..=options.rounds {
        // Whoever comes first finds a cooler machine.
        let rotated = servers.iter().cycle().skip(round - 1).take(servers.len());
        for kind in rotated {
            progress(&format!("round {round} of {}: {}", options.rounds, kind.label()));
            for workers in &options.workers {
                let measuring = async || {
                    let (measured, taken) = bench.measure(round, *kind, *workers).await?;
                    let hung = measured.hung;
                    Ok(((measured, taken), hung))
                };
                let measured = answered(*kind, &mut report.hangs, measuring).await;
                let (measured, taken) = measured.with_context(|| kind.label())?;
                progress(&measured.summary());
                samples.entry((*kind, *workers)).or_insert_with(Samples::default).absorb(taken);
                report.rounds.push(measured);
            }
        }
    }
    report.comparisons = Comparison::of_rounds(&report.rounds, &samples);
    for kind in to_fill {
        progress(&format!("filling with {} orders: {}", options.fill_orders, kind.label()));
        let filling = async || bench.fill(kind, options.fill_orders).await;
        let filling = answered(kind, &mut report.hangs, filling).await;
        report.fillings.push(filling.with_context(|| kind.label())?);
    }
    report.judge();
    Ok(report)
}

/// Makes a measurement, which also says whether the server stopped answering: again if it did and is known to do so.
async fn answered<T>(
    kind: Kind,
    hangs: &mut BTreeMap<Kind, usize>,
    measuring: impl AsyncFn() -> anyhow::Result<(T, bool)>,
) -> anyhow::Result<T> {
    for _ in 0..MAX_HANGS {
        let (measured, hung) = measuring().await?;
        if !(hung && kind.may_hang()) {
            return Ok(measured);
        }
        progress(&format!("  {} stopped answering; measuring again", kind.label()));
        *hangs.entry(kind).or_default() += 1;
    }
    bail!("stopped answering {MAX_HANGS} times in a row")
}

/// What all measurements share.
struct Bench<'a> {
    setup: Setup<'a>,
    surroundings: Surroundings,
}

impl Bench<'_> {
    /// Starts a new server, measures it and stops it.
    async fn measure(
        &self,
        round: usize,
        kind: Kind,
        count: usize,
    ) -> anyhow::Result<(Round, Samples)> {
        let options = self.setup.options;
        let mut server = Server::start(kind, &self.setup).await?;
        let connected = Workers::connect(count, &server, &self.surroundings).await;
        let mut workers = connected.with_context(|| server.logs())?;
        let warm_up = workers.run(Limit::Certificates(options.warm_up)).await?;

        let before = quiet_usage(&mut server).await?;
        let client_before = Usage::of_self()?;
        let outcome = workers.run(options.limit()).await?;
        let client = Usage::of_self()?.cpu.saturating_sub(client_before.cpu);
        let after = quiet_usage(&mut server).await?;
        server.stop().await?;

        let cpu = after.iter().zip(&before).map(|((name, after), (_, before))| {
            (name.clone(), after.cpu.saturating_sub(before.cpu))
        });
        let measured = Round {
            round,
            server: kind,
            workers: count,
            elapsed: outcome.elapsed,
            certificates: outcome.certificates,
            checked: outcome.checked,
            server_cpu: cpu.collect(),
            client_cpu: client,
            peak_bytes: after.iter().map(|(_, usage)| usage.peak_bytes).sum(),
            counters: outcome.counters,
            failures: [warm_up.failures, outcome.failures].concat(),
            hung: warm_up.hung || outcome.hung,
        };
        Ok((measured, outcome.samples))
    }

    /// Fills one server and looks at it on the way; says whether it stopped answering.
    async fn fill(&self, kind: Kind, orders: u64) -> anyhow::Result<(Filling, bool)> {
        let mut server = Server::start(kind, &self.setup).await?;
        let mut workers = Workers::connect(FILL_WORKERS, &server, &self.surroundings).await?;
        let empty = Point::new(0, Duration::ZERO, &quiet_usage(&mut server).await?);
        let mut filling = Filling { server: kind, points: vec![empty], failures: Vec::new() };
        let (mut last, mut hung) = (empty, false);
        for point in 1..=FILL_POINTS {
            let next = orders * point / FILL_POINTS;
            let outcome = workers.run(Limit::Certificates(next - last.orders)).await;
            let outcome = outcome.with_context(|| server.logs())?;
            let elapsed = last.elapsed + outcome.elapsed;
            last = Point::new(next, elapsed, &quiet_usage(&mut server).await?);
            filling.points.push(last);
            filling.failures.extend(outcome.failures);
            if outcome.hung {
                hung = true;
                break;
            }
        }
        server.stop().await?;
        Ok((filling, hung))
    }
}

/// What the server has used once it rests, so that work it does after its last reply counts, too.
async fn quiet_usage(server: &mut Server) -> anyhow::Result<Vec<(String, Usage)>> {
    let deadline = Instant::now() + QUIET_TIMEOUT;
    let cpu = |usage: &[(String, Usage)]| usage.iter().map(|(_, it)| it.cpu).sum::<Duration>();
    let mut usage = server.usage()?;
    while Instant::now() < deadline {
        tokio::time::sleep(QUIET).await;
        let later = server.usage()?;
        if cpu(&later) == cpu(&usage) {
            return Ok(later);
        }
        usage = later;
    }
    Ok(usage)
}
