//! Bounds on what clients send, beside those of the `acme` crate and the configuration.

use std::time::Duration;

/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection without a request under way is kept, and how long it may send request headers.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last reply of a connection that ends may take to leave.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_mins(2);
/// How long requests under way may go on after the stop, a moment less than the process waits for the listener. Clients that
/// are heard of no more would use up whatever it is.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_millis(3500);
/// The most header lines of a request.
pub(crate) const MAX_HEADERS: usize = 64;
/// The most bytes of all header lines of a request.
pub(crate) const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// The most requests at once on one HTTP/2 connection.
pub(crate) const MAX_STREAMS: u32 = 64;
/// The longest path looked at.
pub(crate) const MAX_PATH_BYTES: usize = 1024;
