//! Why a configuration is refused, in words that tell where and what to change.

use std::{fmt, io, path::PathBuf};

use super::Key;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file has no name.
    #[error("--config or CERTMILL_CONFIG is empty: name the configuration file, or leave it out")]
    Unnamed,
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A `--set` argument without `=`.
    #[error("--set {argument}: expected key=value, such as api.listen=127.0.0.1:14000")]
    Argument {
        /// What was given.
        argument: String,
    },
    /// A key that is unknown or a value of the wrong form.
    #[error("{origin}: {message}")]
    Key {
        /// Where it stands.
        origin: Origin,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// Values that do not fit together; every one that was found.
    #[error("{}", Problem::list(.0))]
    Rules(Vec<Problem>),
}

impl ConfigError {
    /// The same, with the places of the values that do not fit.
    pub(super) fn located(self, origin: impl Fn(&Key) -> Option<Origin>) -> Self {
        match self {
            Self::Rules(mut problems) => {
                problems.iter_mut().for_each(|problem| problem.origin = origin(&problem.key));
                Self::Rules(problems)
            }
            Self::Unnamed | Self::Read { .. } | Self::Argument { .. } | Self::Key { .. } => self,
        }
    }
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, and the key on it.
        line: Option<(usize, String)>,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A `--set` argument.
    Set {
        /// Its key.
        key: String,
    },
    /// All sources taken together.
    Together,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some((line, key)) } => {
                write!(f, "{}, line {line} ({key})", path.display())
            }
            Self::File { path, line: None } => path.display().fmt(f),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Set { key } => write!(f, "--set {key}"),
            Self::Together => f.write_str("file, environment and --set taken together"),
        }
    }
}

/// A value that is refused although its form is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key.
    pub key: Key,
    /// What is allowed.
    pub message: String,
    /// Where the value comes from, if it is not a default.
    pub origin: Option<Origin>,
}

impl Problem {
    fn list(problems: &[Self]) -> String {
        let lines: Vec<_> = problems.iter().map(Self::to_string).collect();
        lines.join("; ")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}: {}", self.key, self.message)
    }
}
