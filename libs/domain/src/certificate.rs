//! Certificates after they left their order: the ledger of serials, and revocations.
//!
//! The ledger is an idempotent record without rules of its own; a revocation is an aggregate of one serial, so that
//! revoking twice meets at one compare-and-set. How CRLs were divided is one aggregate of each issuer.

mod active;
mod blocked_key;
mod crl_division;
mod ledger;
mod replacement;
mod revocation;
pub mod validity;

pub use active::{ActiveCertificate, ActiveCertificateEvent, ActiveState, CertificateActivated};
pub use blocked_key::{BlockedKey, BlockedKeyEvent, KeyBlocked};
pub use crl_division::{CrlDivided, CrlDivision, CrlDivisionEvent, Divisions};
pub use ledger::{CertificateSigned, LedgerEvent, SerialBurned, SerialReserved};
pub use replacement::{IdentifierSet, Replacements};
pub use revocation::{AlreadyRevoked, CertRevoked, Revocation, RevocationEvent, RevocationReason};
