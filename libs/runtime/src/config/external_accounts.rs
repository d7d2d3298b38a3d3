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
    /// The file with the key that encrypts the MAC keys in the log: 32 octets in base64, as printed by `openssl rand
    /// -base64 32`. If you lose it, make new MAC keys; accounts stay.
    pub key_file: Option<PathBuf>,
    /// Files with former keys that `key_file` replaced, at most 16. MAC keys that were encrypted with them work as long
    /// as the files are listed here; new MAC keys are encrypted with `key_file`.
    pub former_key_files: Vec<PathBuf>,
}
