//! A key with which an account is bound to one of another system (RFC 8555 §7.3.4): a MAC key made by an operator and
//! handed to whoever may have an account, or a public key that an operator registered; used once or often.

mod event;

use crate::{
    AccountId, Aggregate, ExternalKeyId, KeyFingerprint, NamePattern, ProfileName,
    SubjectPublicKey, Timestamp,
};
pub use event::{
    Event, ExternalKeyCreated, ExternalKeyDisabled, ExternalKeyRegistered, ExternalKeyUsed,
    SealedSecret, Uses,
};

/// The most name patterns of one key.
pub const MAX_NAMES: usize = 100;

/// The aggregate of a key.
#[derive(Debug)]
pub enum ExternalKey {}

/// A key as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its id.
    pub id: ExternalKeyId,
    /// The profile whose accounts it binds; other profiles do not know it.
    pub profile: ProfileName,
    /// What its bindings are verified with.
    pub verifier: Verifier,
    /// How many accounts it binds.
    pub uses: Uses,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The names its accounts may order; all of them when there are none here.
    pub names: Vec<NamePattern>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The account that has it, if it is good for one only.
    pub used_by: Option<AccountId>,
    /// Whether an operator ended it.
    pub disabled: bool,
}

/// What bindings are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// A sealed MAC key.
    Mac(SealedSecret),
    /// A registered public key.
    Signature {
        /// The key.
        key: SubjectPublicKey,
        /// What its bindings know it by.
        fingerprint: KeyFingerprint,
    },
}

/// What can be done with a key.
#[derive(Clone, Debug)]
pub enum Command {
    /// Makes it.
    Create(ExternalKeyCreated),
    /// Registers a public key; again when it has ended.
    Register(ExternalKeyRegistered),
    /// Binds an account with it.
    Use {
        /// Which account.
        account: AccountId,
        /// Now.
        now: Timestamp,
    },
    /// Ends it.
    Disable,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such key.
    #[error("the key does not exist")]
    NotFound,
    /// There is one of that id.
    #[error("the key exists already")]
    AlreadyExists,
    /// It ended by itself.
    #[error("the key expired")]
    Expired,
    /// An operator ended it.
    #[error("the key is disabled")]
    Disabled,
    /// Another account has it.
    #[error("the key was used by another account")]
    Used,
}

impl State {
    fn has_ended(&self, now: Timestamp) -> bool {
        self.disabled || self.has_expired(now)
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }
}

impl Aggregate for ExternalKey {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: Option<&State>, command: &Command) -> Result<Vec<Event>, Rejection> {
        match (state, command) {
            (None, Command::Create(created)) => {
                Ok(vec![Event::ExternalKeyCreated(created.clone())])
            }
            (Some(_), Command::Create(_)) => Err(Rejection::AlreadyExists),
            (Some(key), Command::Register(registered)) if !key.has_ended(registered.at) => {
                Err(Rejection::AlreadyExists)
            }
            (_, Command::Register(registered)) => {
                Ok(vec![Event::ExternalKeyRegistered(registered.clone())])
            }
            (None, Command::Use { .. } | Command::Disable) => Err(Rejection::NotFound),
            (Some(key), Command::Use { account, now }) => bind(key, account, *now),
            (Some(key), Command::Disable) if key.disabled => Err(Rejection::Disabled),
            (Some(_), Command::Disable) => {
                Ok(vec![Event::ExternalKeyDisabled(ExternalKeyDisabled {})])
            }
        }
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        match (state, event) {
            (None, Event::ExternalKeyCreated(created)) => Some(State {
                id: created.id.clone(),
                profile: created.profile.clone(),
                verifier: Verifier::Mac(created.secret.clone()),
                uses: created.uses,
                expires_at: created.expires_at,
                names: created.names.clone(),
                created_at: created.at,
                used_by: None,
                disabled: false,
            }),
            (_, Event::ExternalKeyRegistered(registered)) => Some(State {
                id: registered.id.clone(),
                profile: registered.profile.clone(),
                verifier: Verifier::Signature {
                    key: registered.key.clone(),
                    fingerprint: registered.fingerprint.clone(),
                },
                uses: registered.uses,
                expires_at: registered.expires_at,
                names: registered.names.clone(),
                created_at: registered.at,
                used_by: None,
                disabled: false,
            }),
            (Some(key), Event::ExternalKeyUsed(used)) => {
                Some(State { used_by: Some(used.account.clone()), ..key })
            }
            (Some(key), Event::ExternalKeyDisabled(_)) => Some(State { disabled: true, ..key }),
            (state @ Some(_), Event::ExternalKeyCreated(_))
            | (state @ None, Event::ExternalKeyUsed(_) | Event::ExternalKeyDisabled(_)) => state,
        }
    }
}

/// The account that has the key may use it again: its creation may have been interrupted after the claim.
fn bind(key: &State, account: &AccountId, now: Timestamp) -> Result<Vec<Event>, Rejection> {
    if key.disabled {
        return Err(Rejection::Disabled);
    }
    if key.has_expired(now) {
        return Err(Rejection::Expired);
    }
    match (key.uses, &key.used_by) {
        (Uses::AnyNumber, _) => Ok(vec![]),
        (Uses::OneAccount, Some(owner)) if owner == account => Ok(vec![]),
        (Uses::OneAccount, Some(_)) => Err(Rejection::Used),
        (Uses::OneAccount, None) => {
            let used = ExternalKeyUsed { account: account.clone(), at: now };
            Ok(vec![Event::ExternalKeyUsed(used)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn creation(uses: Uses) -> ExternalKeyCreated {
        ExternalKeyCreated {
            id: ExternalKeyId::from_random(&[1; 16]),
            profile: "default".parse().unwrap(),
            secret: SealedSecret("AAAA".into()),
            uses,
            expires_at: Some(at(100)),
            names: vec![],
            at: at(0),
        }
    }

    fn created(uses: Uses) -> Event {
        Event::ExternalKeyCreated(creation(uses))
    }

    fn account(n: u8) -> AccountId {
        AccountId::from_hash(&[n; 32])
    }

    fn take(n: u8, seconds: i64) -> Command {
        Command::Use { account: account(n), now: at(seconds) }
    }

    fn used(n: u8) -> Event {
        Event::ExternalKeyUsed(ExternalKeyUsed { account: account(n), at: at(1) })
    }

    fn check(given: &[Event], when: &Command, then: &Result<Vec<Event>, Rejection>) {
        let state = ExternalKey::fold(None, given);
        assert_eq!(&ExternalKey::decide(state.as_ref(), when), then);
    }

    #[test]
    fn a_one_time_key_binds_one_account_as_often_as_it_asks() {
        let given = [created(Uses::OneAccount)];
        check(&given, &take(1, 1), &Ok(vec![used(1)]));
        let given = [created(Uses::OneAccount), used(1)];
        check(&given, &take(1, 2), &Ok(vec![]));
        check(&given, &take(2, 2), &Err(Rejection::Used));
    }

    #[test]
    fn a_reusable_key_binds_any_number_of_accounts() {
        let given = [created(Uses::AnyNumber)];
        check(&given, &take(1, 1), &Ok(vec![]));
        check(&given, &take(2, 1), &Ok(vec![]));
    }

    #[test]
    fn an_expired_or_disabled_key_binds_nothing() {
        let disabled = Event::ExternalKeyDisabled(ExternalKeyDisabled {});
        for uses in [Uses::OneAccount, Uses::AnyNumber] {
            check(&[created(uses)], &take(1, 100), &Err(Rejection::Expired));
            check(&[created(uses), disabled.clone()], &take(1, 1), &Err(Rejection::Disabled));
        }
        let given = [created(Uses::OneAccount), used(1), disabled];
        check(&given, &take(1, 1), &Err(Rejection::Disabled));
    }

    #[test]
    fn a_public_key_binds_like_a_mac_key_and_is_registered_again_when_it_has_ended() {
        let registration = |at_seconds: i64| ExternalKeyRegistered {
            id: ExternalKeyId::from_random(&[1; 16]),
            profile: "default".parse().unwrap(),
            key: SubjectPublicKey("AAAA".into()),
            fingerprint: KeyFingerprint::from_hash(&[1; 32]),
            uses: Uses::OneAccount,
            expires_at: Some(at(at_seconds + 100)),
            names: vec![],
            at: at(at_seconds),
        };
        let register = |at_seconds| Command::Register(registration(at_seconds));
        let registered = |at_seconds| Event::ExternalKeyRegistered(registration(at_seconds));
        check(&[], &register(0), &Ok(vec![registered(0)]));
        check(&[registered(0)], &take(1, 1), &Ok(vec![used(1)]));
        check(&[registered(0), used(1)], &take(2, 1), &Err(Rejection::Used));
        check(&[registered(0)], &take(1, 100), &Err(Rejection::Expired));
        check(&[registered(0), used(1)], &register(99), &Err(Rejection::AlreadyExists));
        check(&[registered(0), used(1)], &register(100), &Ok(vec![registered(100)]));
        let disabled = Event::ExternalKeyDisabled(ExternalKeyDisabled {});
        check(&[registered(0), disabled.clone()], &take(1, 1), &Err(Rejection::Disabled));
        check(&[registered(0), disabled.clone()], &register(1), &Ok(vec![registered(1)]));
        let given = [registered(0), used(1), disabled, registered(1)];
        check(&given, &take(2, 1), &Ok(vec![used(2)]));
    }

    #[test]
    fn a_key_is_made_and_disabled_once() {
        let create = Command::Create(creation(Uses::OneAccount));
        let given = [created(Uses::OneAccount)];
        check(&[], &create, &Ok(vec![created(Uses::OneAccount)]));
        check(&given, &create, &Err(Rejection::AlreadyExists));
        let disabled = Event::ExternalKeyDisabled(ExternalKeyDisabled {});
        check(&given, &Command::Disable, &Ok(vec![disabled.clone()]));
        check(&[created(Uses::OneAccount), disabled], &Command::Disable, &Err(Rejection::Disabled));
        check(&[], &Command::Disable, &Err(Rejection::NotFound));
        check(&[], &take(1, 1), &Err(Rejection::NotFound));
    }
}
