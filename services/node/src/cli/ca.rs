//! `certmill ca`: keys and certificates of the CA itself.

use std::{path::PathBuf, str::FromStr};

use ca::KeyAlgorithm;
use clap::{Args, Subcommand, ValueEnum};
use runtime::config::HumanDuration;

use super::values;

/// What can be done with the CA's keys and certificates. They are in `ca/` of the data directory, keys perhaps in a token.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Creates a self-signed root, with a key of its own or the one that is there
    Root(NewCa),
    /// Creates an intermediate below the root that is here
    Intermediate(NewCa),
    /// Makes the request for an intermediate that a root kept elsewhere is to sign, and prints it
    Request(NewCa),
    /// Installs the certificate of an intermediate, with those up to its root, from a PEM bundle
    Install {
        /// The PEM file; `-` reads standard input
        bundle: PathBuf,
    },
    /// Imports a private key made elsewhere, as PKCS#8 PEM; the only way to use RSA without a token
    ImportKey {
        /// Whose key it is
        of: KeyOf,
        /// The PEM file; `-` reads standard input
        key: PathBuf,
    },
    /// Shows the CA's certificates
    Show {
        /// Prints the root's certificate itself instead, as PEM, for those who are to trust it
        #[arg(long)]
        root: bool,
    },
    /// Prints what each role may do at NATS, for nats-server to include
    ///
    /// It names the streams of this configuration: print it again when event_log.order_shards grows.
    NatsPermissions {
        /// Prints Redis's file of users instead, with names in capitals where the passwords are to be
        #[arg(long)]
        redis: bool,
    },
    /// Accepts that the log ends before what the signer had seen, after a restore
    ///
    /// The signer refuses to start on such a log, because something was lost. Be sure that the log is the newest there
    /// is. When the signer starts it puts back into the log what its journal and its last CRL know and the log does not.
    AcceptLog {
        /// Why, for those who read the record later
        #[arg(long)]
        reason: String,
    },
}

/// Whose key is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyOf {
    /// The root's
    Root,
    /// The intermediate's
    Intermediate,
}

/// How a new CA is made. What is left out comes from `[ca]` of the configuration.
#[derive(Debug, Args)]
pub(crate) struct NewCa {
    /// The kind of its key: p256, p384 or ed25519, in a token also rsa; a key that is there must be of it
    #[arg(long, value_name = "KIND", value_parser = KeyAlgorithm::from_str)]
    pub(crate) key_type: Option<KeyAlgorithm>,
    /// Its common name, of at most 64 characters
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Its organization
    #[arg(long, value_name = "TEXT")]
    pub(crate) organization: Option<String>,
    /// Its country as two capital letters
    #[arg(long, value_name = "CODE", value_parser = values::country)]
    pub(crate) country: Option<String>,
    /// How long it is valid, from 1d to 18250d; an intermediate ends with its root, and to a request it means nothing
    #[arg(long, value_name = "DURATION", value_parser = values::ca_validity)]
    pub(crate) validity: Option<HumanDuration>,
}
