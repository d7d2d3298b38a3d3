//! The command line: every command and flag, with the text `--help` shows for it.

mod audit;
mod ca;
mod eab;
mod values;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use clap::{
    Arg, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    builder::OsStringValueParser,
};
use domain::{AccountId, IssuerName, Serial, Timestamp, certificate::RevocationReason};
use eventstore::Subject;
use runtime::{Config, ConfigError, Role, config};

pub(crate) use audit::{AuditCommand, Outcome, Wanted};
pub(crate) use ca::{CaCommand, KeyOf, NewCa};
pub(crate) use eab::{EabCommand, KeyTerms, NewRegisteredKey};

use crate::output::Format;

const EXAMPLES: &str = "\
Examples:
  certmill serve --config config/dev.toml                run everything in this process
  certmill serve --role api --config config/cluster.toml run one role of a cluster
  certmill check-config --set api.listen=0.0.0.0:443     see what a configuration means
  certmill why 01a9…                                     why a certificate was issued
  certmill revoke 01a9… --reason keyCompromise           revoke it

Environment variables override the configuration file (CERTMILL__API__LISTEN sets api.listen), and --set overrides both.
A command exits with 0 on success, with 1 and the reason on standard error on failure, and with 2 if the command line is
wrong.";

/// Where the flags of all commands stand in the help of each, so that its own come first.
const COMMON: &str = "Options of every command";

/// An ACME certificate authority whose truth is an event log
#[derive(Debug, Parser)]
#[command(name = "certmill", version, after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The configuration file; without one, only the defaults and the environment apply
    #[arg(
        long,
        global = true,
        help_heading = COMMON,
        value_name = "FILE",
        env = "CERTMILL_CONFIG",
        // An empty variable must not be in the way of --config: what reads the file refuses it.
        value_parser = OsStringValueParser::new()
    )]
    config: Option<OsString>,
    /// Sets one key, overriding file and environment; the value is TOML, or else plain text; may be repeated
    #[arg(long = "set", help_heading = COMMON, value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Prints JSON, one value per line, instead of text
    #[arg(long, global = true, help_heading = COMMON)]
    json: bool,
}

/// What an operator can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the CA: all roles in one process, or only the named ones
    ///
    /// On its first start the signer creates a root and an intermediate in the data directory and issues the server's
    /// own TLS certificate. The server stops within 10 s of SIGTERM, SIGINT or SIGHUP, and at once on a second one. No
    /// signal reloads the configuration: restart the server to apply a change.
    Serve {
        #[command(flatten)]
        roles: Roles,
    },
    /// Checks the configuration and prints every value, defaults included
    ///
    /// Files that cannot be used on this machine are only warnings: the configuration may be meant for another one.
    CheckConfig {
        #[command(flatten)]
        roles: Roles,
    },
    /// Rebuilds the read model from the log, while the servers keep running
    Rebuild,
    /// Copies the embedded log, the signer's journal and the CA into a new directory, while the server runs
    ///
    /// The copy can be used as a data directory. It holds the CA's keys: protect it like the server. If you restore the
    /// log beside a newer directory of the signer, the signer remembers more than the log holds, and refuses to start
    /// until you run `certmill ca accept-log`.
    Backup {
        /// The directory to create; it must not exist yet
        to: PathBuf,
    },
    /// Creates, shows and installs the CA's keys and certificates
    Ca {
        /// The `[[ca.issuer]]` to work on; without it, the CA of `[ca]`
        #[arg(long, global = true, value_name = "NAME", value_parser = IssuerName::from_str)]
        issuer: Option<IssuerName>,
        #[command(subcommand)]
        command: CaCommand,
    },
    /// Revokes a certificate
    ///
    /// The signer publishes a CRL with it at once.
    Revoke {
        /// The certificate's serial number in hex, as openssl prints it
        #[arg(value_parser = values::serial)]
        serial: Serial,
        /// The reason, as a name or code of RFC 5280
        ///
        /// unspecified (0), keyCompromise (1), affiliationChanged (3), superseded (4), cessationOfOperation (5),
        /// privilegeWithdrawn (9)
        #[arg(long, value_parser = values::reason)]
        reason: RevocationReason,
    },
    /// Lists, shows and deactivates accounts, and records agreement to changed terms
    #[command(subcommand)]
    Account(AccountCommand),
    /// Makes, registers, lists and disables keys for external account binding
    #[command(subcommand)]
    Eab(EabCommand),
    /// Verifies the stored data, and lists what was issued, revoked and refused
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Lists events, oldest first
    Events {
        /// Waits for new events and prints them as they come
        #[arg(long)]
        follow: bool,
        /// Only events of one aggregate: a subject such as `order.05.<id>`, an order id or an account id
        #[arg(long, value_name = "SUBJECT", value_parser = values::subject, allow_hyphen_values = true)]
        aggregate: Option<Subject>,
        /// Only events from this time on: RFC 3339, or a date
        #[arg(long, value_name = "TIME", value_parser = values::time)]
        since: Option<Timestamp>,
    },
    /// Tells why a certificate was issued: who ordered it, how each name was validated, who signed it
    Why {
        /// The certificate's serial number in hex, as openssl prints it
        #[arg(value_parser = values::serial)]
        serial: Serial,
    },
    /// Prints the configuration reference as Markdown: every key with its type, default and meaning
    Reference,
    /// Writes the JSON Schemas of the configuration and of every event, with examples, and the OpenAPI document of the ACME listener
    Schemas {
        /// The directory to write to; files of older versions stay as they are
        dir: PathBuf,
    },
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Lists all accounts, oldest first
    List,
    /// Shows one account
    Show {
        /// The account's id, the last part of its URL
        #[arg(value_parser = values::account, allow_hyphen_values = true)]
        id: AccountId,
    },
    /// Records that the account's holder agreed to the current terms of service of its profile
    Agree {
        /// The account's id, the last part of its URL
        #[arg(value_parser = values::account, allow_hyphen_values = true)]
        id: AccountId,
    },
    /// Deactivates an account permanently; its certificates stay valid
    Deactivate {
        /// The account's id, the last part of its URL
        #[arg(value_parser = values::account, allow_hyphen_values = true)]
        id: AccountId,
    },
}

/// Which roles a process plays.
#[derive(Debug, Args)]
pub(crate) struct Roles {
    /// Only this role of a cluster: api, validator, signer or projector; may be repeated; all roles if not given
    #[arg(long = "role", value_name = "ROLE", value_parser = values::role())]
    named: Vec<Role>,
}

impl Cli {
    /// Reads the command line of the process; what is wrong with it, or the help, is printed and ends the process.
    pub(crate) fn read() -> Self {
        let matches = command().get_matches();
        Self::of(&matches).unwrap_or_else(|error| error.exit())
    }

    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Self::from_arg_matches(matches)?;
        cli.common.sets = sets(matches);
        Ok(cli)
    }
}

/// The command line with `--set` before and after each command: of a flag that is global, clap keeps only those that
/// stand innermost.
fn command() -> clap::Command {
    fn everywhere(mut command: clap::Command, set: &Arg) -> clap::Command {
        for below in command.get_subcommands_mut() {
            *below = everywhere(std::mem::take(below).arg(set), set);
        }
        command
    }
    let command = Cli::command();
    let set = command.get_arguments().find(|argument| argument.get_id() == "sets").cloned();
    match set {
        Some(set) => everywhere(command, &set),
        None => command,
    }
}

/// Every `--set`, in their order.
fn sets(matches: &ArgMatches) -> Vec<String> {
    let here = matches.get_many::<String>("sets").unwrap_or_default().cloned();
    let below = matches.subcommand().map(|(_, below)| sets(below)).unwrap_or_default();
    here.chain(below).collect()
}

impl Roles {
    /// The roles that were named, or all of them.
    pub(crate) fn chosen(&self) -> BTreeSet<Role> {
        match self.named.as_slice() {
            [] => Role::ALL.into(),
            named => named.iter().copied().collect(),
        }
    }
}

impl Common {
    /// Reads the configuration.
    ///
    /// # Errors
    /// When it cannot be used; the error names the key.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref().map(Path::new), config::environment()?, &self.sets)
    }

    /// Who reads the output.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::of(&command().try_get_matches_from(line.split(' '))?)
    }

    #[test]
    fn the_command_line_is_consistent_and_every_command_and_flag_has_a_help_text() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        command().debug_assert();
        check(&command());
    }

    #[test]
    fn without_a_role_all_are_chosen() {
        let roles = |line| match parse(line).unwrap().command {
            Command::Serve { roles } => roles.chosen(),
            _ => unreachable!(),
        };
        assert_eq!(roles("certmill serve"), Role::ALL.into());
        let two = roles("certmill serve --role api --role signer");
        assert_eq!(two, [Role::Api, Role::Signer].into());
        assert!(parse("certmill serve --role king").is_err());
    }

    #[test]
    fn common_flags_stand_before_or_after_the_command() {
        for line in ["certmill --json --set a=1 rebuild", "certmill rebuild --json --set a=1"] {
            let cli = parse(line).unwrap();
            assert_eq!(cli.common.format(), Format::Json);
            assert_eq!(cli.common.sets, ["a=1"]);
        }
        let cli = parse("certmill --set a=1 --set a=2 ca --set b=3 --json show --set a=4").unwrap();
        assert_eq!(cli.common.format(), Format::Json);
        assert_eq!(cli.common.sets, ["a=1", "a=2", "b=3", "a=4"]);
    }

    #[test]
    fn a_configuration_file_without_a_name_is_refused_unless_another_is_named() {
        let load = |line| parse(line).map(|cli| cli.common.load().map_err(|e| e.to_string()));
        let unnamed = load("certmill --config= rebuild").unwrap().unwrap_err();
        assert!(unnamed.contains("CERTMILL_CONFIG"), "{unnamed}");
        let named = load("certmill --config= rebuild --config a.toml").unwrap().unwrap_err();
        assert!(named.contains("a.toml"), "{named}");
    }

    #[test]
    fn an_id_that_begins_with_a_hyphen_is_no_flag() {
        for id in ["-h".to_owned() + &"V".repeat(19) + "x", "--".to_owned() + &"j".repeat(20)] {
            for action in ["show", "agree", "deactivate"] {
                parse(&format!("certmill account {action} {id} --json")).unwrap();
                parse(&format!("certmill account {action} --json {id}")).unwrap();
            }
            parse(&format!("certmill eab disable {id}")).unwrap();
            parse(&format!("certmill events --aggregate {id} --follow")).unwrap();
        }
    }

    #[test]
    fn a_key_that_has_ended_is_not_made() {
        parse("certmill eab create --expires 30d").unwrap();
        assert!(parse("certmill eab create --expires 0").is_err());
        assert!(parse("certmill eab register --public-key FILE --expires 0s").is_err());
    }

    #[test]
    fn a_reason_is_required_and_may_be_a_name_or_a_code() {
        let reason = |line| match parse(line).map(|cli| cli.command) {
            Ok(Command::Revoke { reason, .. }) => Some(reason),
            _ => None,
        };
        assert_eq!(reason("certmill revoke 01"), None);
        assert_eq!(reason("certmill revoke 01 --reason 2"), None);
        let superseded = Some(RevocationReason::Superseded);
        assert_eq!(reason("certmill revoke 01 --reason superseded"), superseded);
        assert_eq!(reason("certmill revoke 01 --reason 4"), superseded);
    }
}
