//! The roles a process can play.

use std::{fmt, str::FromStr};

/// A part of the CA that can run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Answers ACME clients.
    Api,
    /// Checks control of identifiers.
    Validator,
    /// Signs certificates and CRLs.
    Signer,
    /// Keeps the read model up to date.
    Projector,
}

/// The text names no role.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected one of api, validator, signer, projector")]
pub struct InvalidRole;

impl Role {
    /// Every role there is.
    pub const ALL: [Self; 4] = [Self::Api, Self::Validator, Self::Signer, Self::Projector];

    /// The role's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Validator => "validator",
            Self::Signer => "signer",
            Self::Projector => "projector",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(InvalidRole)
    }
}
