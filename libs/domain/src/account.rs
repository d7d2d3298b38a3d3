//! An account (RFC 8555 §7.1.2): who may ask for certificates under one profile.

mod decide;
mod event;

use crate::{
    AccountId, AccountKey, Aggregate, ExternalKeyId, Identifier, NamePattern, ProfileName,
    Thumbprint, Timestamp,
};
pub use event::{
    AccountBound, AccountCreated, AccountDeactivated, AccountKeyChanged, AccountKeyClaimed,
    AccountTermsAgreed, AccountUpdated, Binding, Event,
};

/// How often an account's key may be changed: every former key is remembered.
pub const MAX_KEY_CHANGES: usize = 1000;

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
    /// The thumbprints of the keys it had before, oldest first.
    pub former_keys: Vec<Thumbprint>,
    /// Contact URLs as the client sent them.
    pub contact: Vec<String>,
    /// Whether the client agreed to the terms of service.
    pub terms_of_service_agreed: bool,
    /// The URL of the terms it agreed to last; unknown of accounts that an older release made.
    pub agreed_terms: Option<String>,
    /// What binds it to an account of another system, if anything does.
    pub external_account: Option<ExternalAccount>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Whether the account may still be used.
    pub status: Status,
}

/// What binds an account to one of another system (RFC 8555 §7.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The key that binds it.
    pub key: ExternalKeyId,
    /// What the client sent.
    pub binding: Binding,
    /// The names the account may order; all of them when there are none here.
    pub names: Vec<NamePattern>,
}

/// The status of an account (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In use.
    Valid,
    /// Given up by its holder or closed by an operator, for ever.
    Deactivated,
}

/// What can be asked of an account. It is made by [`crate::key_use::Command::Create`].
#[derive(Clone, Debug)]
pub enum Command {
    /// Replaces the contacts (RFC 8555 §7.3.2).
    UpdateContact(Vec<String>),
    /// Agrees to terms of service (RFC 8555 §7.3.3).
    AgreeToTerms(AccountTermsAgreed),
    /// Replaces the key (RFC 8555 §7.3.5).
    ChangeKey(KeyChange),
    /// Ends the account (RFC 8555 §7.3.6).
    Deactivate,
}

/// A change of keys; the new one was claimed for the account before.
#[derive(Clone, Debug)]
pub struct KeyChange {
    /// The key that signed for the change.
    pub from: Thumbprint,
    /// The new key.
    pub to: AccountKey,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such account.
    #[error("the account does not exist")]
    NotFound,
    /// The key that signed was replaced meanwhile.
    #[error("the key was replaced")]
    KeyReplaced,
    /// The new key was claimed too long ago: the caller claims it again.
    #[error("the claim of the new key is too old")]
    ClaimTooOld,
    /// The account had [`MAX_KEY_CHANGES`] keys.
    #[error("the key was changed too often")]
    TooManyKeys,
    /// The account was deactivated.
    #[error("the account is deactivated")]
    Deactivated,
}

impl State {
    /// Whether the account may order an identifier, as far as its external account says.
    pub fn may_order(&self, identifier: &Identifier) -> bool {
        match &self.external_account {
            Some(external) if !external.names.is_empty() => {
                external.names.iter().any(|pattern| pattern.matches(identifier))
            }
            Some(_) | None => true,
        }
    }

    /// Whether the account had this key before.
    pub fn had_key(&self, key: &Thumbprint) -> bool {
        self.former_keys.contains(key)
    }

    /// Whether the account had fewer than [`MAX_KEY_CHANGES`] keys before.
    pub fn may_change_key(&self) -> bool {
        self.former_keys.len() < MAX_KEY_CHANGES
    }
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
