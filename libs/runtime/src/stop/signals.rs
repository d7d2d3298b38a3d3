//! The signals that ask a process to stop.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// Signals this soon after a stop began are the same request: `timeout` and terminals send it to a process and to its
/// group.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// SIGTERM, as orchestrators send it, and SIGINT, as a terminal does.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over; from here on they no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them and answers its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
    /// Waits for the next of them that is not part of the request by which a stop began.
    pub(super) async fn insist(&mut self, began: Instant) -> &'static str {
        loop {
            let signal = self.next().await;
            if began.elapsed() >= SAME_REQUEST {
                return signal;
            }
        }
    }
}
