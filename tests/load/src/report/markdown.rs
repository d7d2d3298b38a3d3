//! The report as text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::OpenOptions,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
};

use super::{Comparison, Cost, Filling, Report, filling::Stretch, ratio, table::Table};
use crate::{
    samples::{Latency, Step},
    server::Kind,
};

const TITLE: &str = "\
# Results of the load test

`make bench` appends to this file, newest last. Figures of one run compare; those of two runs only do on the same
machine doing nothing else.

Workers are closed loops, each with an ES256 account and one connection: the next order is placed when the last
certificate has arrived. Every name is ordered once and validated by http-01 on loopback; keys are P-256 on all sides,
and only Pebble, RSA keys, has those that Pebble makes when its configuration names no kind.
CPU is user and system time of all processes of a server, until it rests again after the last reply, over the
certificates. What shares the processors with the servers, the client and what answers challenges, is shown as client
CPU.

- Certmill and Pebble look names up at the client's DNS server; Caddy reaches the responder as a proxy and looks up none.
- A reply that is not final is asked for again soon, whatever Retry-After says; certmill and Caddy reply when it is.
- Pebble starts empty in every measurement; the more it holds the longer it takes for an order, as the tables of filled
  servers show; 16 workers fill them.
- Pebble's workers fetch no authorization while another places an order, because it deadlocks then.
- Every 25th certificate of a worker is checked: name, key and signatures. A failed issuance fails the run.
";

/// Appends a report to a file, which gets a title if it is new.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn append(path: &Path, report: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let is_new = file.seek(SeekFrom::End(0))? == 0;
    let title = if is_new { TITLE } else { "" };
    write!(file, "{title}\n{report}")
}

impl Report {
    /// The tables a person reads.
    pub(crate) fn to_markdown(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "## {}, commit {}\n\n{}, {} cores, {} GiB, Linux {}; fdatasync of 4 KiB {} µs. {}\n\n",
            machine.date,
            machine.commit,
            machine.cpu,
            machine.cores,
            machine.memory_gib,
            machine.kernel,
            machine.fdatasync_us,
            self.plan,
        );
        for (kind, version) in &self.versions {
            let _ = writeln!(text, "- {}: {version}; durable: {}", kind.label(), kind.durability());
        }
        for skipped in &self.skipped {
            let _ = writeln!(text, "- **not measured** {skipped}");
        }
        for (kind, times) in &self.hangs {
            let name = kind.label();
            let _ = writeln!(text, "- {name} stopped answering and was measured again: {times} ×");
        }
        for workers in self.comparisons.iter().map(|it| it.workers).collect::<BTreeSet<_>>() {
            let of_these = self.comparisons.iter().filter(|it| it.workers == workers);
            let of_these: Vec<_> = of_these.collect();
            let plural = if workers == 1 { "" } else { "s" };
            let _ = write!(
                text,
                "\n### {workers} worker{plural}\n\n{}\np50 / p99 in ms:\n\n{}",
                overview(&of_these),
                steps(&of_these),
            );
        }
        if !self.fillings.is_empty() {
            let _ = write!(text, "\n### While a server is filled\n\n{}", filled(&self.fillings));
        }
        if !self.verdicts.is_empty() {
            text.push_str("\n### Targets\n\n");
        }
        for verdict in &self.verdicts {
            let word = if verdict.reached { "reached" } else { "**missed**" };
            let _ = writeln!(text, "- {word}: {}: {}", verdict.target, verdict.measured);
        }
        self.write_failures(&mut text);
        text
    }

    fn write_failures(&self, text: &mut String) {
        let rounds = self.rounds.iter().map(|it| (it.server, &it.failures));
        let fillings = self.fillings.iter().map(|it| (it.server, &it.failures));
        // One each: the first says most, and the others are in the JSON.
        let failures: BTreeMap<_, _> = rounds
            .chain(fillings)
            .filter_map(|(server, failures)| Some((server, failures.first()?)))
            .collect();
        if failures.is_empty() {
            return;
        }
        text.push_str("\n### FAILURES: these figures are not to be trusted\n\n");
        for (server, failure) in failures {
            let _ = writeln!(text, "- {}: {failure}", server.label());
        }
    }
}

fn overview(comparisons: &[&Comparison]) -> String {
    let mut table = Table::new(&[
        "server",
        "certificates/s",
        "lowest–highest",
        "× Pebble",
        "CPU ms each",
        "× Pebble",
        "p50 ms",
        "p99 ms",
        "polls each",
        "peak MiB",
        "client CPU ms",
        "failures",
    ]);
    let pebble = comparisons.iter().find(|it| it.server == Kind::Pebble);
    for it in comparisons {
        let [lowest, _, highest] = it.rates;
        let [rate, times_rate, cpu, times_cpu] = cost_cells(it.cost(), pebble.map(|it| it.cost()));
        let issuance = it.latencies.get(&Step::Issuance);
        let percentile = |of: fn(&Latency) -> f64| {
            issuance.map_or_else(String::new, |latency| format!("{:.1}", of(latency)))
        };
        table.push(vec![
            it.server.label().to_owned(),
            rate,
            format!("{lowest:.0}–{highest:.0}"),
            times_rate,
            cpu,
            times_cpu,
            percentile(|it| it.p50_ms),
            percentile(|it| it.p99_ms),
            format!("{:.1}", it.polls),
            mebibytes(it.peak_bytes),
            format!("{:.2}", it.client_cpu_ms),
            it.failures.to_string(),
        ]);
    }
    let mut text = table.render();
    for it in comparisons.iter().filter(|it| it.cpu_ms_by_process.len() > 1) {
        let parts = it.cpu_ms_by_process.iter().map(|(name, ms)| format!("{name} {ms:.2}"));
        let parts: Vec<_> = parts.collect();
        let _ = write!(text, "\nCPU ms of {}: {}.\n", it.server.label(), parts.join(", "));
    }
    for it in comparisons.iter().filter(|it| it.bad_nonces > 0) {
        let name = it.server.label();
        let _ = write!(text, "\nNonces refused by {name}: {} in all.\n", it.bad_nonces);
    }
    text
}

fn steps(comparisons: &[&Comparison]) -> String {
    let head = Step::ALL.map(Step::label);
    let mut table = Table::new(&[&["server"], head.as_slice()].concat());
    for it in comparisons {
        let cells = Step::ALL.map(|step| match it.latencies.get(&step) {
            Some(latency) => format!("{:.1} / {:.1}", latency.p50_ms, latency.p99_ms),
            None => "–".to_owned(),
        });
        let name = it.server.label().to_owned();
        table.push(std::iter::once(name).chain(cells).collect());
    }
    table.render()
}

/// What each stretch cost, then all of them.
fn filled(fillings: &[Filling]) -> String {
    let head = ["server", "orders", "certificates/s", "× Pebble", "CPU ms each", "× Pebble"];
    let mut table = Table::new(&[&head[..], &["resident MiB", "peak MiB"]].concat());
    let pebble = fillings.iter().find(|it| it.server == Kind::Pebble);
    for filling in fillings {
        let mut of_pebble = pebble.into_iter().flat_map(Filling::stretches);
        for stretch in filling.stretches() {
            let orders = format!("{}–{}", stretch.from.orders + 1, stretch.to.orders);
            table.push(stretch_row(filling.server, orders, stretch, of_pebble.next()));
        }
        if let Some(whole) = filling.whole() {
            let of_pebble = pebble.and_then(Filling::whole);
            table.push(stretch_row(filling.server, "all".to_owned(), whole, of_pebble));
        }
    }
    table.render()
}

fn stretch_row(
    server: Kind,
    orders: String,
    stretch: Stretch<'_>,
    pebble: Option<Stretch<'_>>,
) -> Vec<String> {
    let cost = cost_cells(stretch.cost(), pebble.map(|it| it.cost()));
    let memory = [stretch.to.resident_bytes, stretch.to.peak_bytes].map(mebibytes);
    [server.label().to_owned(), orders].into_iter().chain(cost).chain(memory).collect()
}

/// Certificates per second and processor time of each, both followed by how many times Pebble's that is.
fn cost_cells(cost: Cost, pebble: Option<Cost>) -> [String; 4] {
    let times_pebble = |figure: fn(Cost) -> f64| {
        pebble.map_or_else(String::new, |it| format!("{:.2}", ratio(figure(cost), figure(it))))
    };
    [
        format!("{:.0}", cost.rate),
        times_pebble(|it| it.rate),
        format!("{:.2}", cost.cpu_ms),
        times_pebble(|it| it.cpu_ms),
    ]
}

fn mebibytes(bytes: u64) -> String {
    bytes.div_ceil(1 << 20).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_is_written_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("RESULTS.md");
        append(&path, "one\n").expect("written");
        append(&path, "two\n").expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(text, format!("{TITLE}\none\n\ntwo\n"));
    }
}
