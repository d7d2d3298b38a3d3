//! What certmill is to reach, as multiples of Pebble in the same run.

use serde::Serialize;

use crate::{
    report::{Comparison, Cost, Filling, Point},
    samples::Step,
    server::Kind,
};

/// The number of workers the targets are set for.
const WORKERS: usize = 16;
const EMBEDDED_RATE: f64 = 2.0;
const EMBEDDED_CPU: f64 = 0.4;
const EMBEDDED_P99_MS: f64 = 100.0;
const CLUSTER_RATE: f64 = 1.0;
const MEMORY_BYTES: u64 = 100 << 20;
const FILL_ORDERS: u64 = 20_000;

/// Whether a target was reached.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// What was to be reached.
    pub(crate) target: String,
    /// What was measured.
    pub(crate) measured: String,
    /// Whether that is enough.
    pub(crate) reached: bool,
}

/// The targets about which the figures say something: on servers that have just been started, and, marked so, over all the
/// orders that they were filled with.
pub(crate) fn verdicts(comparisons: &[Comparison], fillings: &[Filling]) -> Vec<Verdict> {
    let of = |kind: Kind| comparisons.iter().find(|it| (it.server, it.workers) == (kind, WORKERS));
    let mut verdicts = against_pebble(|kind| of(kind).map(Comparison::cost), "");
    let issuance = of(Kind::Certmill).and_then(|it| it.latencies.get(&Step::Issuance));
    if let Some(issuance) = issuance {
        verdicts.push(Verdict {
            target: format!("embedded, p99 of a whole issuance under {EMBEDDED_P99_MS} ms"),
            measured: format!("{:.1} ms", issuance.p99_ms),
            reached: issuance.p99_ms < EMBEDDED_P99_MS,
        });
    }
    let filled = |kind: Kind| {
        let whole = fillings.iter().find(|it| it.server == kind)?.whole();
        whole.filter(|it| it.to.orders >= FILL_ORDERS)
    };
    let when = format!(", over {FILL_ORDERS} orders");
    verdicts.extend(against_pebble(|kind| filled(kind).map(|it| it.cost()), &when));
    verdicts.extend(filled(Kind::Certmill).map(|it| memory_verdict(it.to)));
    verdicts
}

fn against_pebble(of: impl Fn(Kind) -> Option<Cost>, when: &str) -> Vec<Verdict> {
    let Some(pebble) = of(Kind::Pebble) else { return Vec::new() };
    let mut verdicts = Vec::new();
    if let Some(embedded) = of(Kind::Certmill) {
        let (rate, cpu) = (embedded.rate / pebble.rate, embedded.cpu_ms / pebble.cpu_ms);
        verdicts.push(Verdict {
            target: format!("embedded, at least {EMBEDDED_RATE} × Pebble's certificates/s{when}"),
            measured: format!("{rate:.2} ×"),
            reached: rate >= EMBEDDED_RATE,
        });
        verdicts.push(Verdict {
            target: format!(
                "embedded, at most {EMBEDDED_CPU} × Pebble's CPU per certificate{when}"
            ),
            measured: format!("{cpu:.2} ×"),
            reached: cpu <= EMBEDDED_CPU,
        });
    }
    if let Some(cluster) = of(Kind::CertmillCluster) {
        let rate = cluster.rate / pebble.rate;
        verdicts.push(Verdict {
            target: format!("NATS + Redis, at least Pebble's certificates/s{when}"),
            measured: format!("{rate:.2} ×"),
            reached: rate >= CLUSTER_RATE,
        });
    }
    verdicts
}

fn memory_verdict(last: &Point) -> Verdict {
    Verdict {
        target: format!("embedded, under 100 MiB after {FILL_ORDERS} orders"),
        measured: format!(
            "{} MiB, at most {} MiB",
            last.resident_bytes.div_ceil(1 << 20),
            last.peak_bytes.div_ceil(1 << 20)
        ),
        reached: last.resident_bytes < MEMORY_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A server after so many orders, each of which took a millisecond and some of the processors.
    fn filling(server: Kind, orders: u64, cpu_us: u64, resident_bytes: u64) -> Filling {
        let (elapsed, cpu) =
            (Duration::from_millis(orders), Duration::from_micros(orders * cpu_us));
        let end = Point { orders, elapsed, cpu, resident_bytes, peak_bytes: resident_bytes };
        let zero = Duration::ZERO;
        let start = Point { orders: 0, elapsed: zero, cpu: zero, ..end };
        Filling { server, points: vec![start, end], failures: Vec::new() }
    }

    #[test]
    fn memory_is_judged_only_after_enough_orders() {
        let judged = |orders, bytes| verdicts(&[], &[filling(Kind::Certmill, orders, 1, bytes)]);
        assert_eq!(judged(19_999, 1), Vec::new());
        let reached = |bytes| judged(20_000, bytes).first().map(|it| it.reached);
        assert_eq!(reached(MEMORY_BYTES - 1), Some(true));
        assert_eq!(reached(MEMORY_BYTES), Some(false));
    }

    #[test]
    fn servers_that_were_filled_are_compared_over_all_their_orders() {
        let fillings = [
            filling(Kind::Certmill, 20_000, 1_000, 1),
            filling(Kind::CertmillCluster, 20_000, 4_000, 1),
            filling(Kind::Pebble, 20_000, 2_500, 1),
        ];
        let found: Vec<_> =
            verdicts(&[], &fillings).into_iter().map(|it| (it.measured, it.reached)).collect();
        let expected =
            [("1.00 ×", false), ("0.40 ×", true), ("1.00 ×", true), ("1 MiB, at most 1 MiB", true)];
        assert_eq!(found, expected.map(|(measured, reached)| (measured.to_owned(), reached)));
    }
}
