//! What a key stands for under a profile: each key has a place of its own in the log, found by its thumbprint.
//!
//! The place belongs to the account that the key made, or to a claim by the account that changed to the key. Whoever wants
//! a key meets every other who wants it there, so that one key never leads to two accounts.

use std::time::Duration;

use crate::{
    AccountId, Aggregate, Timestamp,
    account::{AccountBound, AccountCreated, AccountKeyClaimed, AccountTermsAgreed, Event},
};

/// How long after its claim a change of keys may be completed. Whoever comes later claims again.
pub(crate) const CLAIM_IS_GOOD_FOR: Duration = Duration::from_secs(60);
/// How long after it was made a claim that no completed change followed may be taken over: so much later that, even with clocks
/// that differ and an append under way, two accounts never have the key.
const CLAIM_LAPSES_AFTER: Duration = Duration::from_mins(5);

/// The use of a key as an aggregate; it shares its subject and its events with the account the key made, if it made one.
#[derive(Debug)]
pub enum KeyUse {}

/// What a key is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It made an account.
    Account,
    /// An account changed to it, or is about to.
    Claimed(Claim),
}

/// That an account wants a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which account.
    pub account: AccountId,
    /// Since when.
    pub at: Timestamp,
}

/// What can be done with a key.
#[derive(Clone, Debug)]
pub enum Command {
    /// Makes an account (RFC 8555 §7.3).
    Create(Box<Creation>),
    /// Claims the key for an account that is about to change to it (RFC 8555 §7.3.5).
    Claim {
        /// The claim.
        claim: AccountKeyClaimed,
        /// The claim that is taken over, which the caller found abandoned: no completed change followed it.
        abandoned: Option<Claim>,
    },
}

/// An account to make.
#[derive(Clone, Debug)]
pub struct Creation {
    /// The account.
    pub account: AccountCreated,
    /// The terms of service that its holder agrees to.
    pub terms: Option<AccountTermsAgreed>,
    /// What binds it to an account of another system.
    pub external_account: Option<AccountBound>,
    /// The claim that is taken over, which the caller found abandoned: no completed change followed it.
    pub abandoned: Option<Claim>,
}

impl From<AccountCreated> for Creation {
    fn from(account: AccountCreated) -> Self {
        Self { account, terms: None, external_account: None, abandoned: None }
    }
}

impl From<Creation> for Command {
    fn from(creation: Creation) -> Self {
        Self::Create(Box::new(creation))
    }
}

/// Why a command is refused: the caller looks again whose the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The key made an account.
    #[error("the key has an account already")]
    AlreadyExists,
    /// The key is claimed by another account.
    #[error("another account changed to the key, or is about to")]
    Claimed,
}

impl Claim {
    /// Whether the claim may be taken over, once it is known that no completed change followed it.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        now >= self.at.plus(CLAIM_LAPSES_AFTER)
    }
}

impl Aggregate for KeyUse {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: Option<&State>, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Create(creation) => {
                check_free(state, creation.abandoned.as_ref(), creation.account.at)?;
                let created = Event::AccountCreated(creation.account.clone());
                let agreed = creation.terms.clone().map(Event::AccountTermsAgreed);
                let bound = creation.external_account.clone().map(Event::AccountBound);
                Ok([created].into_iter().chain(agreed).chain(bound).collect())
            }
            Command::Claim { claim, abandoned } => {
                match state {
                    // The same account again: its first attempt got no further than the claim.
                    Some(State::Claimed(known)) if known.account == claim.account => {}
                    Some(State::Account | State::Claimed(_)) | None => {
                        check_free(state, abandoned.as_ref(), claim.at)?;
                    }
                }
                Ok(vec![Event::AccountKeyClaimed(claim.clone())])
            }
        }
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        match event {
            Event::AccountCreated(_) => Some(State::Account),
            Event::AccountKeyClaimed(claim) => match state {
                Some(State::Account) => state,
                Some(State::Claimed(_)) | None => {
                    Some(State::Claimed(Claim { account: claim.account.clone(), at: claim.at }))
                }
            },
            Event::AccountUpdated(_)
            | Event::AccountTermsAgreed(_)
            | Event::AccountBound(_)
            | Event::AccountKeyChanged(_)
            | Event::AccountDeactivated(_) => state,
        }
    }
}

/// Refuses a key that has an account, or is claimed unless that claim is the abandoned one and old enough.
fn check_free(
    state: Option<&State>,
    abandoned: Option<&Claim>,
    now: Timestamp,
) -> Result<(), Rejection> {
    match state {
        None => Ok(()),
        Some(State::Account) => Err(Rejection::AlreadyExists),
        Some(State::Claimed(claim)) if abandoned == Some(claim) && claim.has_lapsed(now) => Ok(()),
        Some(State::Claimed(_)) => Err(Rejection::Claimed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountKey, Thumbprint};

    const START: i64 = 1_800_000_000;

    fn id(n: u8) -> AccountId {
        AccountId::from_hash(&[n; 32])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(START + seconds)
    }

    fn creation(seconds: i64) -> AccountCreated {
        AccountCreated {
            id: id(9),
            profile: "default".parse().unwrap(),
            key: AccountKey { jwk: "{}".into(), thumbprint: Thumbprint("t".into()) },
            contact: vec![],
            terms_of_service_agreed: false,
            at: at(seconds),
        }
    }

    fn claim(n: u8, seconds: i64) -> AccountKeyClaimed {
        AccountKeyClaimed { account: id(n), key: Thumbprint("t".into()), at: at(seconds) }
    }

    fn abandoned(n: u8, seconds: i64) -> Option<Claim> {
        Some(Claim { account: id(n), at: at(seconds) })
    }

    fn check(given: &[Event], when: &Command, then: &Result<Vec<Event>, Rejection>) {
        let state = KeyUse::fold(None, given);
        assert_eq!(&KeyUse::decide(state.as_ref(), when), then);
    }

    #[test]
    fn a_key_makes_one_account() {
        let create = Command::from(Creation::from(creation(0)));
        let created = Event::AccountCreated(creation(0));
        check(&[], &create, &Ok(vec![created.clone()]));
        check(&[created], &create, &Err(Rejection::AlreadyExists));
    }

    #[test]
    fn the_terms_that_were_agreed_to_are_part_of_the_creation() {
        let agreed = AccountTermsAgreed { terms_of_service: "https://x".into(), at: at(0) };
        let terms = Some(agreed.clone());
        let create = Command::from(Creation { terms, ..creation(0).into() });
        let then = vec![Event::AccountCreated(creation(0)), Event::AccountTermsAgreed(agreed)];
        check(&[], &create, &Ok(then));
    }

    #[test]
    fn a_key_that_made_an_account_is_never_claimed() {
        let given = [Event::AccountCreated(creation(0))];
        let when = Command::Claim { claim: claim(1, 9999), abandoned: abandoned(1, 0) };
        check(&given, &when, &Err(Rejection::AlreadyExists));
    }

    #[test]
    fn a_claimed_key_makes_no_account() {
        let given = [Event::AccountKeyClaimed(claim(1, 0))];
        let when = Command::from(Creation::from(creation(9999)));
        check(&given, &when, &Err(Rejection::Claimed));
    }

    #[test]
    fn an_account_claims_a_key_again_and_another_does_not() {
        let given = [Event::AccountKeyClaimed(claim(1, 0))];
        let again = Command::Claim { claim: claim(1, 10), abandoned: None };
        check(&given, &again, &Ok(vec![Event::AccountKeyClaimed(claim(1, 10))]));
        let other = Command::Claim { claim: claim(2, 9999), abandoned: None };
        check(&given, &other, &Err(Rejection::Claimed));
    }

    #[test]
    fn a_claim_that_nothing_followed_is_taken_over_after_five_minutes() {
        let given = [Event::AccountKeyClaimed(claim(1, 0))];
        let take = |seconds, looked_into| Command::Claim {
            claim: claim(2, seconds),
            abandoned: looked_into,
        };
        check(&given, &take(299, abandoned(1, 0)), &Err(Rejection::Claimed));
        let taken = Event::AccountKeyClaimed(claim(2, 300));
        check(&given, &take(300, abandoned(1, 0)), &Ok(vec![taken]));
        let create = Creation { abandoned: abandoned(1, 0), ..creation(300).into() };
        let create = Command::from(create);
        check(&given, &create, &Ok(vec![Event::AccountCreated(creation(300))]));
    }

    #[test]
    fn a_claim_that_was_renewed_is_not_the_one_that_was_looked_into() {
        let given =
            [Event::AccountKeyClaimed(claim(1, 0)), Event::AccountKeyClaimed(claim(1, 290))];
        let when = Command::Claim { claim: claim(2, 9999), abandoned: abandoned(1, 0) };
        check(&given, &when, &Err(Rejection::Claimed));
    }
}
