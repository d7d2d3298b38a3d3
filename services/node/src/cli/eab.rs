//! The commands about keys for external accounts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::{ExternalKeyId, NamePattern, ProfileName};
use runtime::config::HumanDuration;

use super::values;

/// What can be done with keys for external accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum EabCommand {
    /// Creates a key and shows it this once: the kid and the HMAC key to configure in a client
    Create(KeyTerms),
    /// Registers a public key whose owner signs account keys, for profiles with external_account_compatibility
    Register(NewRegisteredKey),
    /// Lists all keys, oldest first, without their secrets
    List,
    /// Disables a key; accounts that were bound with it stay
    Disable {
        /// The key's kid
        #[arg(allow_hyphen_values = true)]
        id: ExternalKeyId,
    },
}

/// A public key to register: a file with it, or with a certificate for it.
#[derive(Debug, Args)]
#[group(id = "registered", required = true, multiple = false, args = ["public_key", "certificate"])]
pub(crate) struct NewRegisteredKey {
    /// A PEM file with a public key, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    /// A PEM file with a certificate for the key, or - for standard input; the key ends with the certificate
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) terms: KeyTerms,
}

/// What a key is good for.
#[derive(Debug, Args)]
pub(crate) struct KeyTerms {
    /// The profile whose accounts it binds; the default profile if not given
    #[arg(long)]
    pub(crate) profile: Option<ProfileName>,
    /// Binds any number of accounts, not only one
    #[arg(long)]
    pub(crate) reusable: bool,
    /// Expires after this time, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = values::lifetime)]
    pub(crate) expires: Option<HumanDuration>,
    /// A name its accounts may order, or .example.com for all below; may be repeated; all names if not given
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<NamePattern>,
}
