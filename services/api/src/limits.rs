//! Bounds on what clients send, beside those of the `acme` crate and the configuration.

use std::time::Duration;

/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may go on after the stop, a moment less than the process waits for the listener. Clients that
/// are heard of no more would use up whatever it is.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_millis(3500);
/// The longest path looked at.
pub(crate) const MAX_PATH_BYTES: usize = 1024;
/// How much is read for nothing of a body that is too large.
pub(crate) const MAX_DISCARDED_BYTES: usize = 1024 * 1024;
/// For how long.
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);
