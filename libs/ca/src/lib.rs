//! Certificate profiles, issuance, CRLs, the journal and the CA keys: the only code that touches CA keys.
//!
//! It gets names and a public key, never a CSR; it knows no network, no event log and no async.

mod algorithm;
mod authority;
mod ca_certificate;
mod ca_directory;
mod ca_key;
mod ca_profile;
mod chain;
mod crl;
mod crl_successor;
mod durable;
mod issuance;
pub mod journal;
mod key_pem;
mod key_store;
mod log_position;
mod name_constraints;
mod ocsp;
mod pem_file;
mod plan;
mod profile;
mod public_key;
mod subject_name;
mod token;
mod unsigned;

pub use algorithm::{KeyAlgorithm, KeyChoice, UnknownKeyAlgorithm};
pub use authority::{Authority, AuthorityError};
pub use ca_certificate::{CaCertificate, CaCertificateError, ChainError};
pub use ca_directory::{CaDirectory, CaDirectoryError};
pub use ca_key::{CaKey, KeyError, SignError};
pub use ca_profile::{CaProfileError, CaRequest, CaSubject};
pub use chain::{AlternateError, Chain};
pub use crl::{CrlError, CrlPlan, sign_crl};
pub use crl_successor::{SuccessorError, check_successor};
pub use durable::give_to_directory_owner;
pub use issuance::IssueError;
pub use key_pem::{KeyPemError, Passphrase, Protection};
pub use key_store::{KeyStore, KeyStoreError};
pub use log_position::{LogPositionError, LogPositions, LogWentBack};
pub use ocsp::{
    MalformedOcspRequest, OcspFailure, OcspRequest, OcspResponder, OcspResponderError, OcspStatus,
};
pub use pem_file::encode_certificates;
pub use plan::{LeafRequest, PlanError, PlannedCertificate, plan};
pub use profile::{
    CertificateProfile, CertificateUrl, ExtendedKeyUsage, InvalidCertificateUrl, SubjectRule,
};
pub use public_key::WeakKey;
pub use subject_name::{InvalidSubjectName, SubjectName};
pub use token::{TokenAccess, TokenError, TokenPlace};
