//! What a key of the configuration is called, wherever it stands.

use std::fmt;

use domain::ProfileName;

/// A key of the configuration: one of the whole, or one of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    profile: Option<ProfileName>,
    /// With dots between its levels; two that need each other have a comma between them.
    path: String,
}

impl Key {
    /// A key of a profile.
    pub(super) fn of(profile: &ProfileName, path: impl Into<String>) -> Self {
        Self { profile: Some(profile.clone()), path: path.into() }
    }

    /// The profile whose key it is.
    pub(super) fn profile(&self) -> Option<&ProfileName> {
        self.profile.as_ref()
    }

    /// The levels of the key, or of each of the two, within the whole or the profile.
    pub(super) fn paths(&self) -> impl Iterator<Item = Vec<&str>> {
        self.path.split(", ").map(|path| path.split('.').collect())
    }
}

impl From<&str> for Key {
    fn from(path: &str) -> Self {
        Self { profile: None, path: path.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.profile {
            Some(profile) => write!(f, "profile {profile}: {}", self.path),
            None => f.write_str(&self.path),
        }
    }
}
