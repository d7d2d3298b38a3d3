//! Memory, processor time and open files of this process, under the names every Prometheus client uses.

use std::{fmt::Write as _, fs, time::Duration};

/// The unit of processor times in /proc; fixed at 100 a second for programs whatever the kernel uses itself.
const TICKS_PER_SECOND: f64 = 100.0;

/// The metrics in the Prometheus text format; those the system does not tell are left out.
pub(super) fn render(started_at: Duration) -> String {
    let metrics = [
        ("process_resident_memory_bytes", "gauge", "Memory in use, in bytes.", resident_memory()),
        ("process_cpu_seconds_total", "counter", "Processor time used, in seconds.", cpu_seconds()),
        ("process_open_fds", "gauge", "Open file descriptors.", open_files()),
        (
            "process_start_time_seconds",
            "gauge",
            "When the process started, in seconds since 1970.",
            Some(started_at.as_secs_f64()),
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in metrics {
        if let Some(value) = value {
            // Writing to a String does not fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
    }
    text
}

fn resident_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in parentheses, may hold spaces: fields are counted after it, where the third comes first.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn open_files() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(count).ok().map(f64::from)
}
