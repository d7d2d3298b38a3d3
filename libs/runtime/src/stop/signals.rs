//! The signals that ask a process to stop.

use std::{fs, io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// Signals this soon after a stop began are the same request: `timeout` and terminals send it to a process and to its
/// group.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// SIGTERM, as orchestrators send it, SIGINT, as a terminal does, and SIGHUP of a terminal that is closed.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None where whoever started the process has it ignored, as nohup does.
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes the signals over; from here on they no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn listen() -> io::Result<Self> {
        let ignored = fs::read_to_string("/proc/self/status").is_ok_and(|it| ignores_hangup(&it));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if ignored { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for the next of them and answers its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(_) = async { self.hangup.as_mut()?.recv().await } => "SIGHUP",
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

/// Whether a process ignores SIGHUP: the lowest bit of what `proc(5)` calls SigIgn.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_under_nohup_ignores_hangups() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t1\n"));
        assert!(!ignores_hangup(""));
    }
}
