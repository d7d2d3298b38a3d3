//! What this crate makes, as openssl sees it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod chains;
mod crl;
mod keys;
mod leaf;
mod ocsp;
mod support;
