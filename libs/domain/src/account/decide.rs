//! The rules of an account.

use super::{
    AccountDeactivated, AccountKeyChanged, AccountUpdated, Command, Event, ExternalAccount,
    KeyChange, Rejection, State, Status,
};
use crate::key_use::CLAIM_IS_GOOD_FOR;

pub(super) fn decide(state: Option<&State>, command: &Command) -> Result<Vec<Event>, Rejection> {
    let account = state.ok_or(Rejection::NotFound)?;
    in_use(account)?;
    match command {
        Command::UpdateContact(contact) if account.contact == *contact => Ok(vec![]),
        Command::UpdateContact(contact) => {
            Ok(vec![Event::AccountUpdated(AccountUpdated { contact: contact.clone() })])
        }
        Command::AgreeToTerms(agreed)
            if account.agreed_terms.as_ref() == Some(&agreed.terms_of_service) =>
        {
            Ok(vec![])
        }
        Command::AgreeToTerms(agreed) => Ok(vec![Event::AccountTermsAgreed(agreed.clone())]),
        Command::ChangeKey(change) => change_key(account, change),
        Command::Deactivate => Ok(vec![Event::AccountDeactivated(AccountDeactivated {})]),
    }
}

fn in_use(account: &State) -> Result<(), Rejection> {
    match account.status {
        Status::Valid => Ok(()),
        Status::Deactivated => Err(Rejection::Deactivated),
    }
}

fn change_key(account: &State, change: &KeyChange) -> Result<Vec<Event>, Rejection> {
    if account.key == change.to {
        return Ok(vec![]);
    }
    if account.key.thumbprint != change.from || account.had_key(&change.to.thumbprint) {
        return Err(Rejection::KeyReplaced);
    }
    if change.now > change.claimed_at.plus(CLAIM_IS_GOOD_FOR) {
        return Err(Rejection::ClaimTooOld);
    }
    if !account.may_change_key() {
        return Err(Rejection::TooManyKeys);
    }
    let (key, at) = (change.to.clone(), change.now);
    Ok(vec![Event::AccountKeyChanged(AccountKeyChanged { key, at })])
}

pub(super) fn evolve(state: Option<State>, event: &Event) -> Option<State> {
    let Some(mut account) = state else {
        return match event {
            Event::AccountCreated(created) => Some(State {
                id: created.id.clone(),
                profile: created.profile.clone(),
                key: created.key.clone(),
                former_keys: Vec::new(),
                contact: created.contact.clone(),
                terms_of_service_agreed: created.terms_of_service_agreed,
                agreed_terms: None,
                external_account: None,
                created_at: created.at,
                status: Status::Valid,
            }),
            Event::AccountUpdated(_)
            | Event::AccountTermsAgreed(_)
            | Event::AccountBound(_)
            | Event::AccountKeyClaimed(_)
            | Event::AccountKeyChanged(_)
            | Event::AccountDeactivated(_) => None,
        };
    };
    match event {
        Event::AccountUpdated(updated) => account.contact.clone_from(&updated.contact),
        Event::AccountTermsAgreed(agreed) => {
            account.terms_of_service_agreed = true;
            account.agreed_terms = Some(agreed.terms_of_service.clone());
        }
        Event::AccountBound(bound) => {
            account.external_account = Some(ExternalAccount {
                key: bound.key.clone(),
                binding: bound.binding.clone(),
                names: bound.names.clone(),
            });
        }
        Event::AccountKeyChanged(changed) => {
            let former = std::mem::replace(&mut account.key, changed.key.clone());
            account.former_keys.push(former.thumbprint);
        }
        Event::AccountDeactivated(_) => account.status = Status::Deactivated,
        Event::AccountCreated(_) | Event::AccountKeyClaimed(_) => {}
    }
    Some(account)
}

#[cfg(test)]
mod tests {
    use super::super::{
        Account, AccountBound, AccountCreated, AccountTermsAgreed, Binding, MAX_KEY_CHANGES,
    };
    use super::*;
    use crate::{AccountId, AccountKey, Aggregate, Thumbprint, Timestamp};

    fn creation() -> AccountCreated {
        AccountCreated {
            id: AccountId::from_hash(&[1; 32]),
            profile: "default".parse().unwrap(),
            key: AccountKey { jwk: "{}".into(), thumbprint: Thumbprint("t".into()) },
            contact: vec!["mailto:a@example.com".into()],
            terms_of_service_agreed: true,
            at: Timestamp::from_unix_seconds(1),
        }
    }

    fn created() -> Event {
        Event::AccountCreated(creation())
    }

    fn deactivated() -> Event {
        Event::AccountDeactivated(AccountDeactivated {})
    }

    fn check(given: &[Event], when: &Command, then: &Result<Vec<Event>, Rejection>) {
        let state = Account::fold(None, given);
        assert_eq!(&Account::decide(state.as_ref(), when), then);
    }

    #[test]
    fn contacts_are_replaced() {
        let contact = vec!["mailto:b@example.com".to_owned()];
        let updated = Event::AccountUpdated(AccountUpdated { contact: contact.clone() });
        check(&[created()], &Command::UpdateContact(contact.clone()), &Ok(vec![updated.clone()]));
        let state = Account::fold(None, &[created(), updated]).unwrap();
        assert_eq!(state.contact, contact);
    }

    #[test]
    fn an_update_that_changes_nothing_stores_nothing() {
        check(&[created()], &Command::UpdateContact(creation().contact), &Ok(vec![]));
    }

    #[test]
    fn an_account_is_deactivated_once_and_for_ever() {
        check(&[created()], &Command::Deactivate, &Ok(vec![deactivated()]));
        let given = [created(), deactivated()];
        check(&given, &Command::Deactivate, &Err(Rejection::Deactivated));
        check(&given, &Command::UpdateContact(vec![]), &Err(Rejection::Deactivated));
    }

    #[test]
    fn what_does_not_exist_cannot_be_changed() {
        check(&[], &Command::Deactivate, &Err(Rejection::NotFound));
        check(&[], &Command::UpdateContact(vec![]), &Err(Rejection::NotFound));
    }

    fn key(name: &str) -> AccountKey {
        AccountKey { jwk: format!("{{{name}}}"), thumbprint: Thumbprint(name.into()) }
    }

    fn change(from: &str, to: &str, claimed_at: i64, now: i64) -> Command {
        Command::ChangeKey(KeyChange {
            from: Thumbprint(from.into()),
            to: key(to),
            claimed_at: Timestamp::from_unix_seconds(claimed_at),
            now: Timestamp::from_unix_seconds(now),
        })
    }

    fn changed(to: &str, at: i64) -> Event {
        let at = Timestamp::from_unix_seconds(at);
        Event::AccountKeyChanged(AccountKeyChanged { key: key(to), at })
    }

    #[test]
    fn a_new_key_replaces_the_one_before_which_is_remembered() {
        check(&[created()], &change("t", "u", 5, 5), &Ok(vec![changed("u", 5)]));
        let given = [created(), changed("u", 5), changed("v", 6)];
        let state = Account::fold(None, &given).unwrap();
        assert_eq!(state.key, key("v"));
        assert_eq!(state.former_keys, [Thumbprint("t".into()), Thumbprint("u".into())]);
        check(&given, &change("v", "v", 7, 7), &Ok(vec![]));
    }

    #[test]
    fn a_former_key_neither_signs_for_a_change_nor_comes_back() {
        let given = [created(), changed("u", 5)];
        check(&given, &change("t", "v", 6, 6), &Err(Rejection::KeyReplaced));
        check(&given, &change("u", "t", 6, 6), &Err(Rejection::KeyReplaced));
    }

    #[test]
    fn a_change_is_completed_within_a_minute_of_its_claim() {
        check(&[created()], &change("t", "u", 5, 65), &Ok(vec![changed("u", 65)]));
        check(&[created()], &change("t", "u", 5, 66), &Err(Rejection::ClaimTooOld));
    }

    #[test]
    fn an_account_has_a_limited_number_of_keys() {
        let changes = (0..MAX_KEY_CHANGES).map(|n| changed(&n.to_string(), 5));
        let given: Vec<Event> = [created()].into_iter().chain(changes).collect();
        let last = (MAX_KEY_CHANGES - 1).to_string();
        check(&given, &change(&last, "new", 6, 6), &Err(Rejection::TooManyKeys));
    }

    #[test]
    fn a_deactivated_account_changes_no_key() {
        let given = [created(), deactivated()];
        check(&given, &change("t", "u", 5, 5), &Err(Rejection::Deactivated));
    }

    #[test]
    fn what_was_agreed_to_is_known_and_changed_terms_are_agreed_to_again() {
        let agreed = |url: &str| AccountTermsAgreed {
            terms_of_service: url.into(),
            at: Timestamp::from_unix_seconds(2),
        };
        let first = Event::AccountTermsAgreed(agreed("https://ca.example/1"));
        let second = Event::AccountTermsAgreed(agreed("https://ca.example/2"));
        let agree = |url| Command::AgreeToTerms(agreed(url));
        let given = [created(), first];
        check(&given, &agree("https://ca.example/1"), &Ok(vec![]));
        check(&given, &agree("https://ca.example/2"), &Ok(vec![second.clone()]));
        let state = Account::fold(Account::fold(None, &given), &[second]).unwrap();
        assert_eq!(state.agreed_terms.as_deref(), Some("https://ca.example/2"));
        check(&[created(), deactivated()], &agree("x"), &Err(Rejection::Deactivated));
    }

    #[test]
    fn a_bound_account_orders_what_its_external_account_allows() {
        let bound = |names: &[&str]| {
            Event::AccountBound(AccountBound {
                key: crate::ExternalKeyId::from_random(&[3; 16]),
                binding: Binding {
                    protected: "a".into(),
                    payload: "b".into(),
                    signature: "c".into(),
                },
                names: names.iter().map(|name| name.parse().unwrap()).collect(),
                at: Timestamp::from_unix_seconds(1),
            })
        };
        let may_order = |events: &[Event], name: &str| {
            let state = Account::fold(None, events).unwrap();
            state.may_order(&crate::Identifier::Dns(name.parse().unwrap()))
        };
        let limited = [created(), bound(&[".example.com", "example.org"])];
        assert!(may_order(&limited, "a.example.com"));
        assert!(may_order(&limited, "example.org"));
        assert!(!may_order(&limited, "a.example.org"));
        assert!(may_order(&[created(), bound(&[])], "a.example.org"));
        assert!(may_order(&[created()], "a.example.org"));
    }

    #[test]
    fn a_claim_makes_no_account() {
        let claim = super::super::AccountKeyClaimed {
            account: AccountId::from_hash(&[2; 32]),
            key: Thumbprint("t".into()),
            at: Timestamp::from_unix_seconds(1),
        };
        assert_eq!(Account::fold(None, &[Event::AccountKeyClaimed(claim)]), None);
    }
}
