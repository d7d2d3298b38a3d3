//! How accounts are bound to those of another system.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many former keys there may be: each is tried in turn.
pub(super) const MAX_FORMER_KEYS: usize = 16;

/// `[external_accounts]`: keys for external account binding, made by `certmill eab create`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExternalAccounts {
    /// The file with the key under which the MAC keys are kept in the log: 32 octets in base64, as
    /// `openssl rand -base64 32` prints them. Who loses it makes new MAC keys; accounts stay.
    pub key_file: Option<PathBuf>,
    /// Files with keys that `key_file` took the place of, at most 16: what was made under them stays good as long as they
    /// stand here, and new MAC keys are kept under `key_file` alone.
    pub former_key_files: Vec<PathBuf>,
}
