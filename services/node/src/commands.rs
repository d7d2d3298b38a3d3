//! The operator's commands, each in a file of its own.

mod account;
mod audit;
mod backup;
mod ca;
mod check_config;
mod eab;
mod events;
mod rebuild;
mod revoke;
mod schemas;
mod why;

use runtime::config::config_reference;

use self::events::{Until, Wanted};
use crate::{
    cli::{Cli, Command},
    failure::{Explain as _, Failure},
    output::Output,
    serve,
};

const CONFIG_ADVICE: &str =
    "`certmill reference` lists all keys; test a change with `certmill check-config`.";

/// Runs what the command line asks for.
///
/// # Errors
/// When it fails; the failure is told to the operator.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { common, command } = cli;
    let mut out = Output::new(common.format());
    let config = || common.load().advise(CONFIG_ADVICE);
    match command {
        Command::Serve { roles } => serve::run(&config()?, &roles.chosen(), &mut out).await?,
        Command::CheckConfig { roles } => {
            check_config::run(&config()?, &roles.chosen(), &mut out)?;
        }
        Command::Rebuild => rebuild::run(&config()?, &mut out).await?,
        Command::Backup { to } => backup::run(&config()?, &to, &mut out).await?,
        Command::Ca { issuer, command } => {
            ca::run(&config()?, issuer.as_ref(), command, &mut out).await?;
        }
        Command::Revoke { serial, reason } => {
            revoke::run(&config()?, serial, reason, &mut out).await?;
        }
        Command::Account(command) => account::run(&config()?, command, &mut out).await?,
        Command::Eab(command) => eab::run(&config()?, command, &mut out).await?,
        Command::Audit(command) => audit::run(&config()?, &command, &mut out).await?,
        Command::Events { follow, aggregate, since } => {
            let until = if follow { Until::Interrupted } else { Until::End };
            let wanted = Wanted { aggregate, since, until };
            events::run(&config()?, &wanted, &mut out).await?;
        }
        Command::Why { serial } => why::run(&config()?, &serial, &mut out).await?,
        Command::Schemas { dir } => schemas::write(&dir, &mut out)?,
        Command::Reference => {
            let reference = config_reference();
            out.either(&reference, reference.trim_end())?;
        }
    }
    out.flush()
}
