//! Numbers that look random and are decided by a seed and what they are for.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::faults::{Fate, Faults, Port};

/// A process crashes at one of its first so many uses of a port.
const CRASH_WITHIN: u64 = 60;

/// A seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u64);

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At that use of a port.
    AtUse(u64),
    /// After others had so many turns: between any two steps, and within those that no port shows.
    AfterTurns(u64),
}

impl Seed {
    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }

    /// A number for a purpose, below a bound.
    pub(crate) fn draw(self, purpose: &str, bound: u64) -> u64 {
        let mixed = purpose.bytes().fold(self.0, |state, octet| mix(state ^ u64::from(octet)));
        mix(mixed) % bound
    }

    /// 128 bits for a purpose.
    pub(crate) fn bits(self, purpose: &str) -> [u8; 16] {
        let half = |which: &str| self.draw(&format!("{purpose}/{which}"), u64::MAX).to_be_bytes();
        let mut bits = [0; 16];
        bits[..8].copy_from_slice(&half("high"));
        bits[8..].copy_from_slice(&half("low"));
        bits
    }

    /// When a process ends.
    pub(crate) fn end(self, process: &str) -> End {
        match self.draw(&format!("{process}/how"), 3) {
            0 => End::AfterTurns(self.draw(&format!("{process}/turns"), 3000)),
            _ => End::AtUse(1 + self.draw(&format!("{process}/use"), CRASH_WITHIN)),
        }
    }

    /// What goes wrong for a process until everything is calm.
    pub(crate) fn faults(
        self,
        process: &str,
        end: Option<End>,
        calm: &Arc<AtomicBool>,
        consumer_suffix: &'static str,
    ) -> Arc<Faults> {
        let uses: Mutex<HashMap<String, u64>> = Mutex::default();
        let (process, calm) = (process.to_owned(), Arc::clone(calm));
        let plan = move |port: Port, key: &str| {
            if calm.load(Ordering::Relaxed) {
                return Fate::Done;
            }
            let mut uses = uses.lock().unwrap();
            let all = uses.entry(String::new()).or_default();
            *all += 1;
            if end == Some(End::AtUse(*all)) {
                return if all.is_multiple_of(2) { Fate::Crash } else { Fate::CrashAfter };
            }
            let name = format!("{process}/{port:?}/{key}");
            let count = uses.entry(name.clone()).or_default();
            *count += 1;
            fate(port, self.draw(&format!("{name}/{count}"), 100))
        };
        let mut faults = Faults::new(plan);
        faults.consumer_suffix = consumer_suffix;
        Arc::new(faults)
    }
}

/// Of a hundred uses most work.
fn fate(port: Port, percent: u64) -> Fate {
    let can_conflict = port == Port::Append;
    let can_be_forgotten = port == Port::View;
    let turns = 1 + u32::try_from(percent).unwrap_or(0);
    match percent {
        0..3 if port != Port::Next => Fate::Lost,
        3..7 => Fate::ReplyLost,
        7..9 if can_conflict => Fate::Conflict,
        7..12 if can_be_forgotten => Fate::Forgotten,
        9..12 if can_conflict => Fate::Late(10 * turns),
        12..20 => Fate::Slow(turns),
        _ => Fate::Done,
    }
}

/// One step of SplitMix64.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
