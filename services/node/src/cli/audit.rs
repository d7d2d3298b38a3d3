//! The commands about what is stored.

use clap::{Args, Subcommand, ValueEnum};
use domain::{AccountId, ProfileName, Timestamp};
use serde::Serialize;

use super::values;

/// What can be done with what is stored.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Verifies the whole log, the ledger of certificates and the signer's journal
    Verify,
    /// Lists certificates that were issued or revoked, and orders that failed, oldest first
    ///
    /// Prints CSV in which spreadsheets find no formulas, or with --json one JSON object per line.
    Export(Wanted),
}

/// Which lines of the audit are wanted; all of them if nothing is said.
#[derive(Debug, Default, Args)]
pub(crate) struct Wanted {
    /// Only from this time on: RFC 3339, or a date
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub(crate) since: Option<Timestamp>,
    /// Only before this time: RFC 3339, or a date
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub(crate) until: Option<Timestamp>,
    /// Only of this account: its id, or its URL
    #[arg(long, value_name = "ID", value_parser = values::account, allow_hyphen_values = true)]
    pub(crate) account: Option<AccountId>,
    /// Only of this profile
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<ProfileName>,
    /// Only with this name or address; .example.com stands for every name below it
    #[arg(long, value_name = "NAME", value_parser = values::name_or_below)]
    pub(crate) name: Option<String>,
    /// Only this outcome; may be repeated
    #[arg(long = "outcome", value_name = "OUTCOME")]
    pub(crate) outcomes: Vec<Outcome>,
}

/// What became of a certificate or an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// A certificate was issued
    Issued,
    /// A certificate was revoked
    Revoked,
    /// An identifier was not proven, or no certificate could be issued
    Failed,
}
