//! The commands about keys for external accounts.

use clap::{Args, Subcommand};
use domain::{ExternalKeyId, NamePattern, ProfileName};
use runtime::config::HumanDuration;

/// What can be done with keys for external accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum EabCommand {
    /// Makes a key and shows it once: the kid and HMAC key that clients ask for
    Create(NewExternalKey),
    /// Lists all keys, oldest first, without their secrets
    List,
    /// Ends a key; accounts that it bound stay
    Disable {
        /// The key's kid
        #[arg(allow_hyphen_values = true)]
        id: ExternalKeyId,
    },
}

/// A key to make.
#[derive(Debug, Args)]
pub(crate) struct NewExternalKey {
    /// The profile whose accounts it binds; the default profile if not given
    #[arg(long)]
    pub(crate) profile: Option<ProfileName>,
    /// Binds any number of accounts, not only one
    #[arg(long)]
    pub(crate) reusable: bool,
    /// Ends by itself after this time, such as 30d
    #[arg(long, value_name = "DURATION")]
    pub(crate) expires: Option<HumanDuration>,
    /// A name its accounts may order, or .example.com for all below; may be repeated; all names if not given
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<NamePattern>,
}
