//! What requests read: states folded from the log, kept where a read costs one round trip.
//!
//! The log is the truth and a [`ReadModel`] a cache of folds. [`Aggregates`] is the way the rest of the program goes: it
//! reads the view, falls back to the log, executes commands and writes the outcome through before anyone is told.

mod admission;
mod aggregates;
mod certificate;
#[cfg(feature = "contract")]
#[expect(clippy::expect_used, reason = "the contract suite is test code")]
pub mod contract;
mod index;
mod port;
mod revoking;
mod to_completion;
pub mod view;
mod viewed;

pub use admission::{Admission, Admitted};
pub use aggregates::Aggregates;
pub use certificate::{FindError, INDEX_PATIENCE, INDEX_PAUSE};
pub use index::{
    CertificateEntry, InvalidCursor, Lookup, OrderCursor, OrderEntry, OrdersPage, OrdersPart,
    OrdersQuery,
};
pub use port::{Crl, ReadModel, Unavailable, View};
pub use viewed::Viewed;
