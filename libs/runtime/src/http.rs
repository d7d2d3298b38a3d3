//! Serving HTTP: connections taken within bounds, none of them kept for a client that is silent, all let finish at the stop.

mod connection;
mod host;
mod listener;

pub use connection::serve;
pub use listener::{Bounds, accept};
