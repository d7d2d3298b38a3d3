//! The rules of an account.

use super::{AccountDeactivated, AccountUpdated, Command, Event, Rejection, State, Status};

pub(super) fn decide(state: Option<&State>, command: &Command) -> Result<Vec<Event>, Rejection> {
    match (state, command) {
        (None, Command::Create(created)) => Ok(vec![Event::AccountCreated(created.clone())]),
        (Some(_), Command::Create(_)) => Err(Rejection::AlreadyExists),
        (None, Command::UpdateContact(_) | Command::Deactivate) => Err(Rejection::NotFound),
        (Some(account), Command::UpdateContact(contact)) => {
            in_use(account)?;
            if account.contact == *contact {
                return Ok(vec![]);
            }
            Ok(vec![Event::AccountUpdated(AccountUpdated { contact: contact.clone() })])
        }
        (Some(account), Command::Deactivate) => {
            in_use(account)?;
            Ok(vec![Event::AccountDeactivated(AccountDeactivated {})])
        }
    }
}

fn in_use(account: &State) -> Result<(), Rejection> {
    match account.status {
        Status::Valid => Ok(()),
        Status::Deactivated => Err(Rejection::Deactivated),
    }
}

pub(super) fn evolve(state: Option<State>, event: &Event) -> Option<State> {
    match (state, event) {
        (None, Event::AccountCreated(created)) => Some(State {
            id: created.id.clone(),
            profile: created.profile.clone(),
            key: created.key.clone(),
            contact: created.contact.clone(),
            terms_of_service_agreed: created.terms_of_service_agreed,
            created_at: created.at,
            status: Status::Valid,
        }),
        (Some(account), Event::AccountUpdated(updated)) => {
            Some(State { contact: updated.contact.clone(), ..account })
        }
        (Some(account), Event::AccountDeactivated(_)) => {
            Some(State { status: Status::Deactivated, ..account })
        }
        (state @ Some(_), Event::AccountCreated(_))
        | (state @ None, Event::AccountUpdated(_) | Event::AccountDeactivated(_)) => state,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Account, AccountCreated};
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
    fn an_account_is_created_once() {
        check(&[], &Command::Create(creation()), &Ok(vec![created()]));
        check(&[created()], &Command::Create(creation()), &Err(Rejection::AlreadyExists));
    }

    #[test]
    fn a_deactivated_account_is_not_created_again() {
        let given = [created(), deactivated()];
        check(&given, &Command::Create(creation()), &Err(Rejection::AlreadyExists));
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
}
