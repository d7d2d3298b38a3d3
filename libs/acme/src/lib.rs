//! The ACME wire: signed requests, keys, certificate requests, resources, problem documents and nonces (RFC 8555).
//!
//! Nothing here does IO; only implementations of [`nonce::Nonces`] in other crates do. Whatever comes from outside is
//! bounded by a named constant before it is looked at.

pub mod account;
pub mod authorization;
pub mod base64url;
mod certs_only;
pub mod csr;
pub mod directory;
pub mod external_account;
mod issuer_url;
pub mod jwk;
pub mod jws;
pub mod key;
pub mod key_change;
pub mod nonce;
pub mod order;
pub mod problem;
pub mod revocation;
mod strict_json;
mod time;

pub use certs_only::certs_only;
pub use issuer_url::issuer_url;
pub use jwk::{PublicJwk, UncheckedJwk, account_id};
pub use jws::{Jws, KeyReference, SignatureAlgorithm};
pub use key::{BadPublicKey, PublicKey};
pub use nonce::{Nonce, Nonces, NoncesUnavailable, Redeemed};
pub use problem::{ErrorType, Problem};
