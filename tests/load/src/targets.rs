//! What certmill is to reach, as multiples of Pebble in the same run.

use serde::Serialize;

use crate::{
    report::{Comparison, MemoryUse},
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
const MEMORY_ORDERS: u64 = 20_000;

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

/// The targets about which the figures say something.
pub(crate) fn verdicts(comparisons: &[Comparison], memory: &[MemoryUse]) -> Vec<Verdict> {
    let of = |kind: Kind| comparisons.iter().find(|it| (it.server, it.workers) == (kind, WORKERS));
    let mut verdicts = Vec::new();
    if let (Some(embedded), Some(pebble)) = (of(Kind::Certmill), of(Kind::Pebble)) {
        let (rate, cpu) = (embedded.rate() / pebble.rate(), embedded.cpu_ms() / pebble.cpu_ms());
        verdicts.push(Verdict {
            target: format!("embedded, at least {EMBEDDED_RATE} × Pebble's certificates/s"),
            measured: format!("{rate:.2} ×"),
            reached: rate >= EMBEDDED_RATE,
        });
        verdicts.push(Verdict {
            target: format!("embedded, at most {EMBEDDED_CPU} × Pebble's CPU per certificate"),
            measured: format!("{cpu:.2} ×"),
            reached: cpu <= EMBEDDED_CPU,
        });
    }
    let issuance = of(Kind::Certmill).and_then(|it| it.latencies.get(&Step::Issuance));
    if let Some(issuance) = issuance {
        verdicts.push(Verdict {
            target: format!("embedded, p99 of a whole issuance under {EMBEDDED_P99_MS} ms"),
            measured: format!("{:.1} ms", issuance.p99_ms),
            reached: issuance.p99_ms < EMBEDDED_P99_MS,
        });
    }
    if let (Some(cluster), Some(pebble)) = (of(Kind::CertmillCluster), of(Kind::Pebble)) {
        let rate = cluster.rate() / pebble.rate();
        verdicts.push(Verdict {
            target: "NATS + Redis, at least Pebble's certificates/s".to_owned(),
            measured: format!("{rate:.2} ×"),
            reached: rate >= CLUSTER_RATE,
        });
    }
    verdicts.extend(memory.iter().find_map(memory_verdict));
    verdicts
}

fn memory_verdict(memory: &MemoryUse) -> Option<Verdict> {
    let last = memory.points.last()?;
    if memory.server != Kind::Certmill || last.orders < MEMORY_ORDERS {
        return None;
    }
    Some(Verdict {
        target: format!("embedded, under 100 MiB after {MEMORY_ORDERS} orders"),
        measured: format!(
            "{} MiB, at most {} MiB",
            last.resident_bytes.div_ceil(1 << 20),
            last.peak_bytes.div_ceil(1 << 20)
        ),
        reached: last.resident_bytes < MEMORY_BYTES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::MemoryPoint;

    fn memory(orders: u64, resident_bytes: u64) -> MemoryUse {
        let point = MemoryPoint { orders, resident_bytes, peak_bytes: resident_bytes };
        MemoryUse { server: Kind::Certmill, points: vec![point], failures: Vec::new() }
    }

    #[test]
    fn memory_is_judged_only_after_enough_orders() {
        assert_eq!(verdicts(&[], &[memory(19_999, 1)]), Vec::new());
        let reached = |bytes| verdicts(&[], &[memory(20_000, bytes)]).first().map(|it| it.reached);
        assert_eq!(reached(MEMORY_BYTES - 1), Some(true));
        assert_eq!(reached(MEMORY_BYTES), Some(false));
    }
}
