//! `certmill ca`: keys and certificates of the CA itself.

use std::{path::PathBuf, str::FromStr};

use ca::KeyAlgorithm;
use clap::{Args, Subcommand, ValueEnum};
use runtime::config::HumanDuration;

use super::values;

/// What can be done with the CA's keys and certificates. They are in `ca/` of the data directory, keys perhaps in a token.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Creates a self-signed root, and a key for it unless there is one
    Root(NewCa),
    /// Creates an intermediate, signed by the root on this machine
    Intermediate(NewCa),
    /// Prints a certificate request for an intermediate, to be signed by a root kept elsewhere
    Request(NewCa),
    /// Installs an intermediate's certificate and the chain up to its root, from a PEM bundle
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
        /// Prints only the root's certificate, as PEM, for those who are to trust it
        #[arg(long)]
        root: bool,
    },
    /// Prints the permissions that each role needs at NATS, for nats-server to include
    ///
    /// They name the streams of this configuration: print them again when event_log.order_shards grows.
    NatsPermissions {
        /// Prints the ACL file for Redis instead; replace the words in capitals by passwords
        #[arg(long)]
        redis: bool,
    },
    /// Accepts a restored log, which may end earlier than the signer remembers
    ///
    /// The signer refuses to start on one that does, because something was lost. Make sure first that there is no newer copy
    /// of the log. At its next start the signer adds to the log what its journal and its last CRL hold and the log lacks.
    AcceptLog {
        /// The reason, which is kept on record if the log went backwards
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
    /// The kind of its key: p256, p384, ed25519, or in a token rsa; a key that exists already must be of this kind
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
    /// How long it is valid, from 1d to 18250d; an intermediate never outlives its root; ignored for a request
    #[arg(long, value_name = "DURATION", value_parser = values::ca_validity)]
    pub(crate) validity: Option<HumanDuration>,
}
