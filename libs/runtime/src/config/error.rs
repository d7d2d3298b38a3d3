//! Why a configuration is refused, in words that tell where and what to change.

use std::{fmt, io, path::PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
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
    /// The key, with dots between its levels.
    pub key: String,
    /// What is allowed.
    pub message: String,
}

impl Problem {
    fn list(problems: &[Self]) -> String {
        let lines: Vec<_> = problems.iter().map(Self::to_string).collect();
        lines.join("; ")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}
