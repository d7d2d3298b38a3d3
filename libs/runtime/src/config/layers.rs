//! Lays file, environment and `--set` over each other; each is checked by itself so that an error names its source.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::{ConfigError, ConfigFile, error::Origin};

/// What precedes the name of every environment variable that is read.
pub(super) const ENVIRONMENT_PREFIX: &str = "CERTMILL__";
/// What stands between the levels of a key in the name of an environment variable.
const ENVIRONMENT_SEPARATOR: &str = "__";

/// Reads the file's table.
///
/// # Errors
/// When the file cannot be read, is not TOML, has a key that is not known or a value of the wrong form.
pub(super) fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse_file(path, &text)
}

fn parse_file(path: &Path, text: &str) -> Result<Table, ConfigError> {
    let refused = |error: toml::de::Error| ConfigError::Key {
        origin: Origin::File {
            path: path.to_owned(),
            line: error.span().map(|span| line_at(text, span.start)),
        },
        message: one_line(error.message()),
    };
    toml::from_str::<ConfigFile>(text).map_err(refused)?;
    toml::from_str(text).map_err(refused)
}

/// The number of the line at an offset, and what stands there before `=`: the value may be a secret.
fn line_at(text: &str, offset: usize) -> (usize, String) {
    let before = text.get(..offset).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    (number, line.split('=').next().unwrap_or_default().trim().to_owned())
}

/// One setting from the environment or the command line.
pub(super) struct Setting {
    origin: Origin,
    keys: Vec<String>,
    text: String,
}

impl Setting {
    /// Takes an environment variable; none if its name does not start with the prefix.
    pub(super) fn from_environment(variable: &str, text: String) -> Option<Self> {
        let key = variable.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase();
        let keys = key.split(ENVIRONMENT_SEPARATOR).map(str::to_owned).collect();
        Some(Self { origin: Origin::Environment { variable: variable.to_owned() }, keys, text })
    }

    /// Takes a `--set` argument.
    ///
    /// # Errors
    /// When it is not `key=value`.
    pub(super) fn from_argument(argument: &str) -> Result<Self, ConfigError> {
        let (key, text) = argument
            .split_once('=')
            .ok_or_else(|| ConfigError::Argument { argument: argument.to_owned() })?;
        let key = key.trim();
        let keys = key.split('.').map(str::to_owned).collect();
        Ok(Self { origin: Origin::Set { key: key.to_owned() }, keys, text: text.to_owned() })
    }

    /// The table that holds just this setting: its value as TOML, else as the text it is.
    ///
    /// A text that is TOML too, such as a passphrase of digits, is taken as text where only text is allowed.
    ///
    /// # Errors
    /// When the key is not known or neither form of the value is allowed.
    pub(super) fn table(&self) -> Result<Table, ConfigError> {
        let as_text = self.nest(Value::String(self.text.clone()));
        let Ok(value) = self.text.parse::<Value>() else {
            return self.checked(as_text);
        };
        self.checked(self.nest(value)).or_else(|refused| self.checked(as_text).map_err(|_| refused))
    }

    fn checked(&self, table: Table) -> Result<Table, ConfigError> {
        match ConfigFile::deserialize(table.clone()) {
            Ok(_) => Ok(table),
            Err(error) => Err(ConfigError::Key {
                origin: self.origin.clone(),
                message: one_line(error.message()),
            }),
        }
    }

    fn nest(&self, value: Value) -> Table {
        let nested = self
            .keys
            .iter()
            .rev()
            .fold(value, |inner, key| Value::Table(Table::from_iter([(key.clone(), inner)])));
        match nested {
            Value::Table(table) => table,
            value => Table::from_iter([(String::new(), value)]),
        }
    }
}

/// Lays the upper table over the lower one: tables are merged, everything else is replaced.
pub(super) fn lay_over(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

/// Takes all layers together.
///
/// # Errors
/// When they do not form a configuration although each of them does, which is not expected.
pub(super) fn together(table: Table) -> Result<ConfigFile, ConfigError> {
    ConfigFile::deserialize(table).map_err(|error| ConfigError::Key {
        origin: Origin::Together,
        message: one_line(error.message()),
    })
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
