//! The wire against real keys, foreign CSRs and hostile octets, through the public interface only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod csr;
mod hostile;
mod jwk;
mod jws;
mod signer;
