//! The configuration: a TOML file, the environment over it, `--set key=value` over both.
//!
//! Every key is a documented field of one struct, every default is written in that struct's `Default` and nowhere
//! else, and a key nobody knows is refused.

mod base_url;
mod ca;
mod check;
mod duration;
mod error;
mod event_log;
mod external_accounts;
mod form;
mod issuer;
mod key;
mod keys;
mod layers;
mod listeners;
mod misspelt;
mod origins;
mod pkcs11;
mod profile;
mod reference;
mod role;
mod secret;
mod telemetry;
mod validation;
mod validity;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{IssuerName, ProfileName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    base_url::{BaseUrl, InvalidBaseUrl},
    ca::{Ca, CaKeyType},
    duration::{HumanDuration, InvalidDuration},
    error::{ConfigError, Origin, Problem},
    event_log::{EventLog, EventLogKind, Redis},
    external_accounts::ExternalAccounts,
    issuer::Issuer,
    key::Key,
    keys::{KeyType, Keys},
    listeners::{Api, Ops},
    pkcs11::{KeySource, Pkcs11},
    profile::{BindingForm, KeyPurpose, Profile, Subject},
    reference::config_reference,
    role::{InvalidRole, Role},
    secret::Secret,
    telemetry::{LogFormat, OtlpProtocol, Telemetry},
    validation::{ProfileValidation, TrustAnchor, Validation},
    validity::{InvalidValidity, Validity},
};
use origins::Origins;

/// How much longer than the longest order an event of an order is kept, so that workers that were away find it.
const ORDER_GRACE: Duration = Duration::from_hours(72);

/// A complete configuration whose values fit together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Where everything durable is kept.
    pub data_dir: PathBuf,
    /// The ACME server.
    pub api: Api,
    /// Health and metrics.
    pub ops: Ops,
    /// The log.
    pub event_log: EventLog,
    /// Nonces and views of a cluster.
    pub redis: Redis,
    /// How control of an identifier is checked, where the profile does not say otherwise.
    pub validation: Validation,
    /// The issuer.
    pub ca: Ca,
    /// How accounts are bound to those of another system.
    pub external_accounts: ExternalAccounts,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// Files with keys that nobody may use.
    pub key_block_lists: Vec<PathBuf>,
    /// The profile of `/acme/directory`; one of `profiles`.
    pub default_profile: ProfileName,
    /// The kinds of certificates that are issued; at least one.
    pub profiles: Vec<Profile>,
    #[serde(skip)]
    origins: Origins,
}

/// The configuration as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Certmill configuration")]
struct ConfigFile {
    /// The directory that holds everything durable.
    data_dir: PathBuf,
    api: Api,
    ops: Ops,
    event_log: EventLog,
    redis: Redis,
    validation: Validation,
    ca: Ca,
    external_accounts: ExternalAccounts,
    telemetry: Telemetry,
    /// Files that list keys which no account and no certificate may use. Each line is the SHA-256 of a key's
    /// SubjectPublicKeyInfo in hex, or an entry of Debian's `openssl-blacklist`. The files are read again when they
    /// change.
    key_block_lists: Vec<PathBuf>,
    /// The profile of `/acme/directory`; optional if there is only one profile, or one named `default`.
    default_profile: Option<ProfileName>,
    /// The kinds of certificates that are issued; without any, there is one named `default`.
    profile: Vec<Profile>,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            api: Api::default(),
            ops: Ops::default(),
            event_log: EventLog::default(),
            redis: Redis::default(),
            validation: Validation::default(),
            ca: Ca::default(),
            external_accounts: ExternalAccounts::default(),
            telemetry: Telemetry::default(),
            key_block_lists: Vec::new(),
            default_profile: None,
            profile: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file, if one is given, and lays the environment variables that start with `CERTMILL__` and then the
    /// `key=value` settings over it.
    ///
    /// `CERTMILL__API__LISTEN` is `api.listen`. Values are TOML, else text.
    ///
    /// # Errors
    /// When the file cannot be read, a key is not known, a value has the wrong form or values do not fit together;
    /// the operator has to change what the error names.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        sets: &[String],
    ) -> Result<Self, ConfigError> {
        let layers = layers::Layers::read(file, environment, sets)?;
        let config = Self::try_from(layers.together()?);
        let origins = Origins::from(layers);
        match config {
            Ok(config) => Ok(Self { origins, ..config }),
            Err(error) => Err(origins.locate(error)),
        }
    }

    /// Checks that the roles can run with this configuration in one process.
    ///
    /// # Errors
    /// When a role lacks what it needs, with everything that is lacking.
    pub fn check_for(&self, roles: &BTreeSet<Role>) -> Result<(), ConfigError> {
        check::refuse(check::roles(self, roles)).map_err(|error| self.origins.locate(error))
    }

    /// Checks that the profiles of an issuer prefer roots that its chains lead to; without a name, those of the CA of `[ca]`.
    ///
    /// # Errors
    /// When one prefers a root whose common name is not there, with every such profile.
    pub fn check_roots(
        &self,
        issuer: Option<&IssuerName>,
        there: &[String],
    ) -> Result<(), ConfigError> {
        let found = check::refuse(check::roots(self, issuer, there));
        found.map_err(|error| self.origins.locate(error))
    }

    /// The error that refuses the value of a key, for rules that only others can check.
    pub fn refused(&self, key: &'static str, message: impl Into<String>) -> ConfigError {
        let problem = Problem { key: key.into(), message: message.into(), origin: None };
        self.origins.locate(ConfigError::Rules(vec![problem]))
    }

    /// The profile of that name.
    pub fn profile(&self, name: &ProfileName) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == *name)
    }

    /// How the profile's identifiers are validated.
    pub fn validation_of(&self, profile: &Profile) -> Validation {
        self.validation.with(&profile.validation)
    }

    /// How long an event of an order is kept.
    pub fn order_max_age(&self) -> Duration {
        self.event_log
            .order_max_age
            .map_or_else(|| least_order_max_age(&self.profiles), HumanDuration::get)
    }

    /// Where certificates say their CRL is: what precedes its file name, without a slash at the end.
    pub fn crl_base_url(&self) -> String {
        match &self.ca.crl_base_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("{}/crl", self.api.base_url),
        }
    }

    /// Where certificates say OCSP is answered: what precedes the issuer's id, without a slash at the end.
    pub fn ocsp_base_url(&self) -> String {
        match &self.ca.ocsp_base_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("{}/ocsp", self.api.base_url),
        }
    }
}

impl TryFrom<ConfigFile> for Config {
    type Error = ConfigError;

    fn try_from(file: ConfigFile) -> Result<Self, Self::Error> {
        let profiles =
            if file.profile.is_empty() { vec![Profile::default()] } else { file.profile };
        let config = Self {
            data_dir: file.data_dir,
            api: file.api,
            ops: file.ops,
            event_log: file.event_log,
            redis: file.redis,
            validation: file.validation,
            ca: file.ca,
            external_accounts: file.external_accounts,
            telemetry: file.telemetry,
            key_block_lists: file.key_block_lists,
            default_profile: check::default_profile(file.default_profile, &profiles)?,
            profiles,
            origins: Origins::default(),
        };
        check::refuse(check::values(&config))?;
        Ok(config)
    }
}

/// The environment variables [`Config::load`] reads.
///
/// # Errors
/// When one is not UTF-8: left out, it would leave its key at a default that nobody asked for.
pub fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    layers::variables(std::env::vars_os())
}

/// The JSON Schema of the configuration file.
pub fn config_schema() -> serde_json::Value {
    schemars::schema_for!(ConfigFile).to_value()
}

fn least_order_max_age(profiles: &[Profile]) -> Duration {
    let longest = profiles.iter().map(|profile| profile.order_validity.get()).max();
    longest.unwrap_or_default().saturating_add(ORDER_GRACE)
}

#[cfg(test)]
mod tests;
