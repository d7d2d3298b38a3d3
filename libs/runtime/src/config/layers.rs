//! Lays file, environment and `--set` over each other; each is checked by itself so that an error names its source.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{Table, Value, de::DeTable};

use super::{ConfigError, ConfigFile, Key, error::Origin, misspelt};

/// What precedes the name of every environment variable that is read.
pub(super) const ENVIRONMENT_PREFIX: &str = "CERTMILL__";
/// What stands between the levels of a key in the name of an environment variable.
pub(super) const ENVIRONMENT_SEPARATOR: &str = "__";

/// The sources of the configuration, the weaker first.
pub(super) struct Layers {
    file: Option<File>,
    settings: Vec<Setting>,
}

/// The file, with its text: a key is found again in it when its value turns out not to fit.
struct File {
    path: PathBuf,
    text: String,
    table: Table,
}

impl Layers {
    /// Reads all of it; each part by itself has only known keys and values of the right form.
    ///
    /// # Errors
    /// When one has not.
    pub(super) fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        arguments: &[String],
    ) -> Result<Self, ConfigError> {
        let file = file.map(File::read).transpose()?;
        let environment = environment.into_iter();
        let variables =
            environment.filter_map(|(variable, text)| Setting::from_environment(&variable, text));
        let mut settings: Vec<Setting> = variables.collect();
        for argument in arguments {
            settings.push(Setting::from_argument(argument)?);
        }
        Ok(Self { file, settings })
    }

    /// Takes all layers together.
    ///
    /// # Errors
    /// When a setting is not allowed, or, which is not expected, all together do not form a configuration.
    pub(super) fn together(&self) -> Result<ConfigFile, ConfigError> {
        let mut table = self.file.as_ref().map_or_else(Table::new, |file| file.table.clone());
        for setting in &self.settings {
            lay_over(&mut table, setting.table()?);
        }
        ConfigFile::deserialize(table).map_err(|error| ConfigError::Key {
            origin: Origin::Together,
            message: plain(error.message()),
        })
    }

    /// Where the value of a key comes from; none if no source has it or a table that could hold it.
    pub(super) fn origin(&self, key: &Key) -> Option<Origin> {
        let setting = self.settings.iter().rev().find(|setting| setting.gives(key));
        setting.map(|setting| setting.origin.clone()).or_else(|| self.file.as_ref()?.origin(key))
    }
}

impl File {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        if path.as_os_str().is_empty() {
            return Err(ConfigError::Unnamed);
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let refused = |error: toml::de::Error| ConfigError::Key {
            origin: Origin::File {
                path: path.to_owned(),
                line: error.span().map(|span| line_at(&text, span.start)),
            },
            message: plain(error.message()),
        };
        toml::from_str::<ConfigFile>(&text).map_err(refused)?;
        let table = toml::from_str(&text).map_err(refused)?;
        Ok(Self { path: path.to_owned(), text, table })
    }

    /// The line of the key, or of the table that could have it.
    fn origin(&self, key: &Key) -> Option<Origin> {
        let document = DeTable::parse(&self.text).ok()?;
        let offset = key.paths().find_map(|path| offset_of(document.get_ref(), key, &path))?;
        Some(Origin::File { path: self.path.clone(), line: Some(line_at(&self.text, offset)) })
    }
}

/// How far into the text a key stands, or the innermost table there is of those above it.
fn offset_of(document: &DeTable<'_>, key: &Key, path: &[&str]) -> Option<usize> {
    let (mut offset, mut table) = match key.entry() {
        None => (None, document),
        Some(entry) => {
            let (list, above) = entry.list.split_last()?;
            let above = above
                .iter()
                .try_fold(document, |table, level| table.get(*level)?.get_ref().as_table())?;
            let found = above.get(*list)?.get_ref().as_array()?.iter().find_map(|listed| {
                let table = listed.get_ref().as_table()?;
                let own = table.get("name").and_then(|it| it.get_ref().as_str());
                let is_it = own.map_or(entry.is_default, |own| own == entry.name);
                is_it.then_some((Some(listed.span().start), table))
            });
            found?
        }
    };
    for level in path {
        let Some((found, value)) = table.get_key_value(*level) else { break };
        offset = Some(found.span().start);
        let Some(inner) = value.get_ref().as_table() else { break };
        table = inner;
    }
    offset
}

/// The number of the line at an offset, and what stands there before `=`: the value may be a secret.
fn line_at(text: &str, offset: usize) -> (usize, String) {
    let before = text.get(..offset).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    (number, line.split('=').next().unwrap_or_default().trim().to_owned())
}

/// The variables that are settings.
///
/// # Errors
/// When one is not UTF-8, or is meant to be a setting and is none.
pub(super) fn variables(
    all: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let is_ours = |name: &OsStr| name.as_encoded_bytes().starts_with(ENVIRONMENT_PREFIX.as_bytes());
    let (ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| is_ours(name));
    let others = others.iter().filter_map(|(name, _)| name.to_str());
    if let Some((variable, meant)) = misspelt::first(others) {
        return Err(ConfigError::Key {
            origin: Origin::Environment { variable: variable.to_owned() },
            message: format!("has no effect; use {meant}"),
        });
    }
    ours.into_iter()
        .map(|(name, value)| match (name.to_str(), value.into_string()) {
            (Some(name), Ok(value)) => Ok((name.to_owned(), value)),
            (Some(_) | None, Ok(_) | Err(_)) => Err(ConfigError::Key {
                origin: Origin::Environment { variable: name.to_string_lossy().into_owned() },
                message: "name and value must be UTF-8".to_owned(),
            }),
        })
        .collect()
}

/// One setting from the environment or the command line.
struct Setting {
    origin: Origin,
    keys: Vec<String>,
    text: String,
}

impl Setting {
    /// Takes an environment variable; none if its name does not start with the prefix.
    fn from_environment(variable: &str, text: String) -> Option<Self> {
        let key = variable.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase();
        let keys = key.split(ENVIRONMENT_SEPARATOR).map(str::to_owned).collect();
        Some(Self { origin: Origin::Environment { variable: variable.to_owned() }, keys, text })
    }

    /// Takes a `--set` argument.
    ///
    /// # Errors
    /// When it is not `key=value`.
    fn from_argument(argument: &str) -> Result<Self, ConfigError> {
        let (key, text) = argument
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
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
    fn table(&self) -> Result<Table, ConfigError> {
        let as_text = self.nest(Value::String(self.text.clone()));
        let Ok(value) = self.text.parse::<Value>() else {
            return self.checked(as_text);
        };
        self.checked(self.nest(value)).or_else(|refused| self.checked(as_text).map_err(|_| refused))
    }

    /// Whether the value of a key is among what this sets; a list sets all of each of its entries.
    fn gives(&self, key: &Key) -> bool {
        let Ok(table) = self.table() else { return false };
        match key.entry() {
            Some(entry) => has(&table, entry.list),
            None => key.paths().any(|path| has(&table, &path)),
        }
    }

    fn checked(&self, table: Table) -> Result<Table, ConfigError> {
        match ConfigFile::deserialize(table.clone()) {
            Ok(_) => Ok(table),
            Err(error) => Err(ConfigError::Key {
                origin: self.origin.clone(),
                message: plain(error.message()),
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

fn has(table: &Table, path: &[&str]) -> bool {
    match path {
        [] => true,
        [level, below @ ..] => table.get(*level).is_some_and(|value| match value {
            Value::Table(inner) => has(inner, below),
            _ => below.is_empty(),
        }),
    }
}

/// Lays the upper table over the lower one: tables are merged, everything else is replaced.
fn lay_over(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

/// What the libraries say of a value, in one line and in the words of TOML; a list of tables is what most people take
/// for a table.
fn plain(message: &str) -> String {
    let words = [
        ("invalid type: sequence,", "invalid type: list,"),
        (
            "invalid type: map, expected a sequence",
            "expected a list; of tables, each begins with [[ ]]",
        ),
        ("invalid type: map,", "invalid type: table,"),
        ("expected a sequence", "expected a list, such as [\"a\", \"b\"]"),
        ("expected a map", "expected a table"),
    ];
    let line = without_value(&message.split_whitespace().collect::<Vec<_>>().join(" "));
    let line = words.iter().fold(line, |line, (from, to)| line.replace(from, to));
    match line.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => line,
    }
}

/// A value of the wrong type may be a password: a number without quotes, or a URL where a list or table belongs.
fn without_value(line: &str) -> String {
    const BEGINNING: &str = "invalid type: ";
    let parts = line.strip_prefix(BEGINNING).and_then(|rest| rest.rsplit_once(", expected "));
    let Some((found, expected)) = parts else { return line.to_owned() };
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
    format!("{BEGINNING}{kind}, expected {expected}")
}
