//! OCSP (RFC 6960): requests, responses, and the delegated key that signs them.

mod request;
mod responder;
mod response;

pub use request::{MalformedOcspRequest, OcspRequest};
pub use responder::{OcspResponder, OcspResponderError};
pub use response::{OcspFailure, OcspStatus};

/// id-pkix-ocsp-nonce (RFC 9654 §2.1).
const NONCE: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 2];
