//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::{closed_loop::Limit, server::Kind};

/// Issues certificates in a closed loop against several ACME servers and compares what they cost.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
pub(crate) struct Options {
    /// The servers, in the order of the first round; later rounds rotate it.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "certmill,certmill-cluster,pebble,caddy"
    )]
    pub(crate) servers: Vec<Kind>,
    /// How many workers issue at the same time, each with an account and a connection of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pub(crate) workers: Vec<usize>,
    /// How long each measurement lasts.
    #[arg(long, default_value_t = 10, conflicts_with = "certificates")]
    seconds: u64,
    /// Issues this many certificates for each measurement instead.
    #[arg(long)]
    certificates: Option<u64>,
    /// How often every server is started and measured.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How many certificates are issued before each measurement.
    #[arg(long, default_value_t = 64)]
    pub(crate) warm_up: u64,
    /// How many certificates are issued from a server to see what it costs and holds as it is filled; 0 leaves that out.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) fill_orders: u64,
    /// The servers that are filled.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "certmill,certmill-cluster,pebble"
    )]
    pub(crate) fill_servers: Vec<Kind>,
    /// How long the client waits before it asks again for what is not final yet; doubled each time, whatever
    /// Retry-After says.
    #[arg(long, default_value_t = 4)]
    first_wait_ms: u64,
    /// The longest such wait.
    #[arg(long, default_value_t = 64)]
    longest_wait_ms: u64,
    /// The certmill binary.
    #[arg(long, default_value = "target/release/certmill")]
    pub(crate) certmill: PathBuf,
    /// The configuration certmill starts from.
    #[arg(long, default_value = "config/dev.toml")]
    pub(crate) certmill_config: PathBuf,
    /// Settings handed to certmill after those the run makes itself.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) certmill_set: Vec<String>,
    /// Lets certmill resolve the names itself, as its development configuration can; otherwise it asks the same DNS
    /// server as Pebble.
    #[arg(long)]
    pub(crate) certmill_without_dns: bool,
    /// Directories in which tools are looked for before the PATH.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "target/tools/root/usr/bin,target/tools/root/usr/sbin"
    )]
    pub(crate) tools: Vec<PathBuf>,
    /// Where servers keep their files while they run; on a real disk, or durability costs nothing.
    #[arg(long, default_value = "target/load")]
    pub(crate) work_dir: PathBuf,
    /// Writes all figures to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Appends the tables to this file.
    #[arg(long)]
    pub(crate) markdown: Option<PathBuf>,
}

impl Options {
    /// When a measurement ends.
    pub(crate) fn limit(&self) -> Limit {
        match self.certificates {
            Some(certificates) => Limit::Certificates(certificates),
            None => Limit::Duration(Duration::from_secs(self.seconds)),
        }
    }

    /// The plan in words.
    pub(crate) fn plan(&self) -> String {
        let length = match self.limit() {
            Limit::Certificates(certificates) => format!("{certificates} certificates"),
            Limit::Duration(duration) => format!("{} s", duration.as_secs()),
        };
        let Self { rounds, warm_up, first_wait_ms, longest_wait_ms, .. } = self;
        let mut plan = format!(
            "Rounds of {length}: {rounds}, each with a new server after {warm_up} certificates of warm-up; the client \
             polls after {first_wait_ms} ms, doubled up to {longest_wait_ms} ms."
        );
        if self.certmill_without_dns {
            plan.push_str(" Certmill looks up no names.");
        }
        if !self.certmill_set.is_empty() {
            plan = format!("{plan} Certmill's settings: {}.", self.certmill_set.join(", "));
        }
        plan
    }

    /// How the client waits for what is not final yet.
    pub(crate) fn waits(&self) -> Waits {
        Waits {
            first: Duration::from_millis(self.first_wait_ms),
            longest: Duration::from_millis(self.longest_wait_ms),
        }
    }
}

/// How the client waits between two questions for the same resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// The wait before the first question; doubled for each further one.
    pub(crate) first: Duration,
    /// No wait is longer.
    pub(crate) longest: Duration,
}
