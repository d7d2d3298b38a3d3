//! Where, when and of what the figures are.

use std::{
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use time::{OffsetDateTime, macros::format_description};
use tokio::process::Command;

/// How often the disk is asked to sync, to know what durability costs on it.
const SYNCS: usize = 50;
const SYNC_BYTES: usize = 4096;

/// What figures must be read together with.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// When the run started, in UTC.
    pub(crate) date: String,
    /// The commit of the working tree, and whether there are changes.
    pub(crate) commit: String,
    /// The processor.
    pub(crate) cpu: String,
    /// How many processors this program may use.
    pub(crate) cores: usize,
    /// Memory of the machine.
    pub(crate) memory_gib: u64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The median time of an fdatasync of 4 KiB where servers keep their files.
    pub(crate) fdatasync_us: u128,
}

impl Machine {
    /// Looks at this machine and the disk that holds `work_dir`.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub(crate) async fn inspect(work_dir: &Path) -> anyhow::Result<Self> {
        let now = OffsetDateTime::now_utc();
        let minute = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        Ok(Self {
            date: now.format(minute)?,
            commit: commit().await,
            cpu: field_of("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: field_of("/proc/meminfo", "MemTotal")
                .and_then(|kib| kib.trim_end_matches("kB").trim().parse::<u64>().ok())
                .map_or(0, |kib| kib.div_ceil(1 << 20)),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            fdatasync_us: fdatasync(work_dir)?.as_micros(),
        })
    }
}

async fn commit() -> String {
    let git = async |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().await.ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]).await else {
        return "none yet".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]).await {
        Some(changes) if changes.is_empty() => commit,
        Some(_) | None => format!("{commit} with changes"),
    }
}

fn field_of(file: &str, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn first_line(file: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn fdatasync(work_dir: &Path) -> anyhow::Result<Duration> {
    std::fs::create_dir_all(work_dir)?;
    let mut file = tempfile::tempfile_in(work_dir)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&[0; SYNC_BYTES])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(SYNCS / 2).copied().unwrap_or_default())
}
