//! What a key of the configuration is called, wherever it stands.

use std::fmt;

use domain::{IssuerName, ProfileName};

/// A key of the configuration: one of the whole, or one of an entry in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    entry: Option<Entry>,
    /// With dots between its levels; two that need each other have a comma between them.
    path: String,
}

/// An entry of a list, known by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where the list stands.
    pub(super) list: &'static [&'static str],
    pub(super) name: String,
    /// Whether an entry without a name is this one.
    pub(super) is_default: bool,
}

impl Key {
    /// A key of a profile.
    pub(super) fn of(profile: &ProfileName, path: impl Into<String>) -> Self {
        let is_default = *profile == ProfileName::default();
        let entry = Entry { list: &["profile"], name: profile.to_string(), is_default };
        Self { entry: Some(entry), path: path.into() }
    }

    /// A key of an issuer beside that of `[ca]`.
    pub(super) fn of_issuer(issuer: &IssuerName, path: impl Into<String>) -> Self {
        let entry = Entry { list: &["ca", "issuer"], name: issuer.to_string(), is_default: false };
        Self { entry: Some(entry), path: path.into() }
    }

    /// The entry whose key it is.
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    /// The levels of the key, or of each of the two, within the whole or the entry.
    pub(super) fn paths(&self) -> impl Iterator<Item = Vec<&str>> {
        self.path.split(", ").map(|path| path.split('.').collect())
    }
}

impl From<&str> for Key {
    fn from(path: &str) -> Self {
        Self { entry: None, path: path.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(Entry { list, name, .. }) => {
                write!(f, "{} {name}: {}", list.join("."), self.path)
            }
            None => f.write_str(&self.path),
        }
    }
}
