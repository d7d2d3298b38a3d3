//! An account (RFC 8555 §7.1.2): who may ask for certificates under one profile.

mod decide;
mod event;

use crate::{AccountId, AccountKey, Aggregate, ProfileName, Timestamp};
pub use event::{AccountCreated, AccountDeactivated, AccountUpdated, Event};

/// The account aggregate.
#[derive(Debug)]
pub enum Account {}

/// An account as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Derived from the profile and the first key.
    pub id: AccountId,
    /// The profile whose directory made the account; other profiles do not know it.
    pub profile: ProfileName,
    /// The key that signs the account's requests.
    pub key: AccountKey,
    /// Contact URLs as the client sent them.
    pub contact: Vec<String>,
    /// Whether the client agreed to the terms of service.
    pub terms_of_service_agreed: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Whether the account may still be used.
    pub status: Status,
}

/// The status of an account (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In use.
    Valid,
    /// Given up by its holder or closed by an operator, for ever.
    Deactivated,
}

/// What can be asked of an account.
#[derive(Clone, Debug)]
pub enum Command {
    /// Makes the account.
    Create(AccountCreated),
    /// Replaces the contacts (RFC 8555 §7.3.2).
    UpdateContact(Vec<String>),
    /// Ends the account (RFC 8555 §7.3.6).
    Deactivate,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such account.
    #[error("the account does not exist")]
    NotFound,
    /// The account exists already; the caller answers with the existing one.
    #[error("the account exists already")]
    AlreadyExists,
    /// The account was deactivated.
    #[error("the account is deactivated")]
    Deactivated,
}

impl Aggregate for Account {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: Option<&State>, command: &Command) -> Result<Vec<Event>, Rejection> {
        decide::decide(state, command)
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        decide::evolve(state, event)
    }
}
