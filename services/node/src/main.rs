//! The certmill binary: chooses adapters and roles, and holds the operator's commands.

mod block_lists;
mod ca_files;
mod change;
mod cli;
mod clock;
mod commands;
mod control;
mod event_schemas;
mod failure;
mod files;
#[cfg(test)]
mod fixtures;
mod log;
mod operator;
mod operator_key;
mod output;
mod ports;
mod redis_rights;
mod serve;
mod signer_settings;
mod story;
mod tls;
mod token;
mod watched_files;

use std::{io::Write as _, process::ExitCode};

use mimalloc::MiMalloc;
use tokio::runtime;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};

/// The system's allocator took a tenth of an issuance's time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before anything else: every TLS client and server of the process uses the installed provider. That one is there
    // already is the only error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::read();
    let format = cli.common.format();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_reader_gone() => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing can be done for an operator whose standard error is closed.
            let _ = writeln!(std::io::stderr(), "{}", failure.told(format));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    // What a command awaits is awaited on this thread, which the system would have to wake for each message of a worker.
    let mut builder = if matches!(cli.command, Command::Serve { .. }) {
        runtime::Builder::new_multi_thread()
    } else {
        runtime::Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build()?;
    let outcome = runtime.block_on(commands::run(cli));
    // A task that did not finish in time is not waited for: the process ends now.
    runtime.shutdown_background();
    outcome
}
