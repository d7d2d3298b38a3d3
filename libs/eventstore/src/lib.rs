//! The event log as the rest of the program sees it: ports, the stored envelope, and the loop that decides against it.
//!
//! One command is one append is one message holding all its events. Adapters (`jetstream`, `embedded`) implement
//! [`EventStore`], [`EventFeed`] and [`Wakes`]; the suite in `contract` says what they must promise.

mod calls;
#[cfg(feature = "contract")]
#[expect(clippy::expect_used, reason = "the contract suite is test code")]
pub mod contract;
mod envelope;
mod error;
mod execute;
mod feed;
mod search;
mod store;
mod subject;
mod tail;
mod upcast;
mod wake;

pub use calls::{
    CALL_TIMEOUT, CALLS_WAITING, Call, CallError, Calls, CrlAnswer, LocalCalls, OcspAnswer, Service,
};
pub use envelope::{Actor, Context, DecodeError, Envelope, Message, MessageId, StoredEvent};
pub use error::{AppendError, StoreError};
pub use execute::{
    Decided, ExecuteError, LoadError, Loaded, Verdict, execute, execute_after, execute_to_verdict,
    load,
};
pub use feed::{Acknowledge, Delivery, EventFeed, KEEP_ALIVE, Subscription};
pub use search::{last_before, place_before};
pub use store::{Dependent, EventStore, Expected, NewMessage, Pair};
pub use subject::{InvalidSubject, Sequence, Stream, Subject};
pub use tail::{EventTail, Tail};
pub use wake::{Wake, Wakes};
