//! Processor time and memory of processes, as the kernel counts them in `/proc`.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

/// `/proc` counts in hundredths of a second on every Linux (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// What a process and all processes below it use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    /// User and system time since the start.
    pub(crate) cpu: Duration,
    /// Memory now.
    pub(crate) resident_bytes: u64,
    /// The most memory there ever was.
    pub(crate) peak_bytes: u64,
}

impl Usage {
    /// The process and its descendants.
    ///
    /// # Errors
    /// When the process is gone.
    pub(crate) fn of_tree(root: u32) -> anyhow::Result<Self> {
        let mut parents = BTreeMap::new();
        for entry in std::fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // One that has ended meanwhile counts with its parent.
            if let Ok(stat) = Stat::read(pid) {
                parents.insert(pid, stat.parent);
            }
        }
        let mut total = Self::of(root)?;
        let below = parents.keys().filter(|pid| is_below(**pid, root, &parents));
        for usage in below.filter_map(|pid| Self::of(*pid).ok()) {
            total.cpu += usage.cpu;
            total.resident_bytes += usage.resident_bytes;
            total.peak_bytes += usage.peak_bytes;
        }
        Ok(total)
    }

    /// This program.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(crate) fn of_self() -> anyhow::Result<Self> {
        Self::of(std::process::id())
    }

    fn of(pid: u32) -> anyhow::Result<Self> {
        let cpu = Stat::read(pid)?.cpu;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self {
            cpu,
            // A process that has ended but was not waited for has no memory.
            resident_bytes: memory(&status, "VmRSS:").unwrap_or_default(),
            peak_bytes: memory(&status, "VmHWM:").unwrap_or_default(),
        })
    }
}

fn is_below(pid: u32, root: u32, parents: &BTreeMap<u32, u32>) -> bool {
    let mut above = pid;
    // A tree read while it changes might name a parent twice.
    for _ in 0..parents.len() {
        match parents.get(&above) {
            Some(parent) if *parent == root => return true,
            Some(parent) => above = *parent,
            None => return false,
        }
    }
    false
}

/// What is read of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    cpu: Duration,
}

impl Stat {
    fn read(pid: u32) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).with_context(|| format!("/proc/{pid}/stat has another form"))
    }

    /// The second field is the program's name and may itself contain spaces and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(')')?;
        let fields: Vec<_> = after_name.split_ascii_whitespace().collect();
        // utime, stime, and both again of children that have ended (fields 14 to 17 of proc(5)).
        let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u32>().ok());
        let ticks = ticks.sum::<Option<u32>>()?;
        Some(Self { parent: fields.get(1)?.parse().ok()?, cpu: TICK * ticks })
    }
}

/// A field of `/proc/PID/status`, which is in KiB.
fn memory(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_program_name() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 150 50 5 5 20 0 9 0 1 2 3";
        let expected = Stat { parent: 3, cpu: Duration::from_millis(2100) };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (a) S 3"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(memory(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(memory(status, "VmHWM:"), Some(2 << 20));
    }

    #[test]
    fn grandchildren_belong_to_the_tree_and_siblings_do_not() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 1)]);
        assert!(is_below(3, 2, &parents) && is_below(3, 1, &parents));
        assert!(!is_below(4, 2, &parents) && !is_below(2, 2, &parents));
    }

    #[test]
    fn this_program_uses_memory() {
        assert!(Usage::of_self().expect("usage").resident_bytes > 0);
    }
}
