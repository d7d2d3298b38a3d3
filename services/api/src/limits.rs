//! Bounds on what clients send, beside those of the `acme` crate and the configuration.

use std::time::Duration;

/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections stay open after the stop, a little less than the process waits for the listener. A client that is
/// gone without a word would use up any time given.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_millis(3500);
/// How long after the stop requests under way may take before they are answered with 503. The rest of [`DRAIN_TIMEOUT`] is for
/// sending that answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long, after the stop, a client that is in its handshake or has just asked something has for its next request. Clients
/// that poll do so after whole seconds; the half second keeps connections from being closed at just that moment.
pub(crate) const ARRIVAL_TIMEOUT: Duration = Duration::from_millis(1500);
/// The longest path looked at.
pub(crate) const MAX_PATH_BYTES: usize = 1024;
/// How much of a body that is too large is read and thrown away, so that the client gets to read the answer.
pub(crate) const MAX_DISCARDED_BYTES: usize = 1024 * 1024;
/// For how long a body that is too large is read and thrown away.
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);
