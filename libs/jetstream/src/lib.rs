//! The event log on NATS JetStream: [`JetStream`] is the adapter behind `EventStore`, `EventFeed`, `Wakes` and
//! `Calls`.
//!
//! Every read asks the leader of a stream: no direct gets and no consumers, which replicas that lag may serve. What it says
//! is believed while it hears from a majority of the servers, because the others may have elected another. Every append
//! compares and sets. What is not as it must be — an old server, lazy sync, a stream configured otherwise — is
//! refused at start by [`JetStream::connect`], with a message that says what to change. Reading commands open a
//! [`ReadOnly`], which changes nothing.

mod append;
mod calls;
mod connect;
mod connection;
mod election;
mod feed;
mod jet_stream;
mod leader;
mod names;
mod options;
mod read;
mod read_only;
mod stored;
mod stream_info;
mod wakes;

pub use connect::{ConnectError, Identity};
pub use jet_stream::JetStream;
pub use options::{ClientCertificate, Options};
pub use read_only::ReadOnly;
