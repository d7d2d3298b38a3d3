//! Bounds on what clients send, beside those of the `acme` crate and the configuration.

use std::time::Duration;

/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may go on after the stop, a moment less than the process waits for the listener. Clients that
/// are heard of no more would use up whatever it is.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_millis(3500);
/// How long after the stop requests under way may take until they are answered with 503. The rest of the time is for the answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the request may take to arrive, after the stop, of a client that is shaking hands or asked just before it. Clients
/// ask again after a whole second, or several: at none of these connections are closed.
pub(crate) const ARRIVAL_TIMEOUT: Duration = Duration::from_millis(1500);
/// The longest path looked at.
pub(crate) const MAX_PATH_BYTES: usize = 1024;
/// How much is read for nothing of a body that is too large.
pub(crate) const MAX_DISCARDED_BYTES: usize = 1024 * 1024;
/// For how long.
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);
