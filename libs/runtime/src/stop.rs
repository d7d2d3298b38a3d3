//! The life of the process's tasks: started by name, watched for failure, and stopped in order.
//!
//! A stop goes through three stages, each of which ends before the next begins: *listeners* take no more connections
//! and finish the requests they hold, *workers* finish and acknowledge what they took from the log, and the
//! *background* (operations listener, renewals) ends last. Traces and logs are flushed after that, by the caller.

mod process;
mod signals;
mod task;

pub use process::{Process, StopError, Stopper};
pub use task::Stop;
