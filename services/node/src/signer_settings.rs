//! The signer's settings, refused in the words of the configuration.

use runtime::Config;
use signer::Settings;

use crate::failure::Failure;

/// Takes what concerns a signer from the configuration.
///
/// # Errors
/// When a name or URL cannot stand in certificates; the failure says where it was set.
pub(crate) fn read(config: &Config) -> Result<Settings, Failure> {
    Settings::from_config(config)
        .map_err(|error| config.refused(error.key(), error.to_string()).into())
}
