//! One server while it is filled: what an order costs, and what is kept of it, as there are more of them.

use std::time::Duration;

use serde::Serialize;

use super::{Cost, count, milliseconds, ratio};
use crate::{process::Usage, server::Kind};

/// One server while it is filled.
#[derive(Debug, Serialize)]
pub(crate) struct Filling {
    /// The server.
    pub(crate) server: Kind,
    /// What was seen on the way, the first before there was an order.
    pub(crate) points: Vec<Point>,
    /// Why issuances failed.
    pub(crate) failures: Vec<String>,
}

/// What a server had done and what it held at one time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Point {
    /// After so many orders.
    pub(crate) orders: u64,
    /// How long they took.
    pub(crate) elapsed: Duration,
    /// Processor time of all processes since they were started.
    pub(crate) cpu: Duration,
    /// Memory of all processes then.
    pub(crate) resident_bytes: u64,
    /// The most until then.
    pub(crate) peak_bytes: u64,
}

/// What happened between two points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch<'a> {
    /// Where it began.
    pub(crate) from: &'a Point,
    /// Where it ended.
    pub(crate) to: &'a Point,
}

impl Filling {
    /// From one point to the next.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Stretch<'_>> {
        self.points.iter().zip(self.points.iter().skip(1)).map(|(from, to)| Stretch { from, to })
    }

    /// From the first point to the last.
    pub(crate) fn whole(&self) -> Option<Stretch<'_>> {
        Some(Stretch { from: self.points.first()?, to: self.points.last()? })
    }
}

impl Point {
    /// After `orders`, which took so long.
    pub(crate) fn new(orders: u64, elapsed: Duration, usage: &[(String, Usage)]) -> Self {
        let sum = |bytes: fn(&Usage) -> u64| usage.iter().map(|(_, it)| bytes(it)).sum();
        Self {
            orders,
            elapsed,
            cpu: usage.iter().map(|(_, it)| it.cpu).sum(),
            resident_bytes: sum(|it| it.resident_bytes),
            peak_bytes: sum(|it| it.peak_bytes),
        }
    }
}

impl Stretch<'_> {
    /// What its certificates cost.
    pub(crate) fn cost(&self) -> Cost {
        let orders = count(self.to.orders - self.from.orders);
        let elapsed = self.to.elapsed.saturating_sub(self.from.elapsed);
        let cpu = self.to.cpu.saturating_sub(self.from.cpu);
        Cost {
            rate: ratio(orders, elapsed.as_secs_f64()),
            cpu_ms: ratio(milliseconds(cpu), orders),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_counted_from_the_point_before() {
        let point = |orders, seconds, cpu| Point {
            orders,
            elapsed: Duration::from_secs(seconds),
            cpu: Duration::from_millis(cpu),
            resident_bytes: 0,
            peak_bytes: 0,
        };
        let points = vec![point(0, 0, 500), point(100, 1, 700), point(200, 3, 1300)];
        let filling = Filling { server: Kind::Pebble, points, failures: Vec::new() };
        let costs = |stretch: Stretch| (stretch.cost().rate, stretch.cost().cpu_ms);
        let stretches: Vec<_> = filling.stretches().map(costs).collect();
        assert_eq!(stretches, [(100.0, 2.0), (50.0, 6.0)]);
        assert_eq!(filling.whole().map(costs), Some((200.0 / 3.0, 4.0)));
    }
}
