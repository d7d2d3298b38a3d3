//! The events of an account.

use domain::account::{AccountCreated, AccountDeactivated, AccountUpdated, Event};

use super::{EventSchema, event, samples};
use crate::failure::Failure;

pub(super) fn events() -> Vec<Result<EventSchema, Failure>> {
    let created = AccountCreated {
        id: samples::account(),
        profile: samples::profile(),
        key: samples::account_key(),
        contact: samples::contact(),
        terms_of_service_agreed: true,
        at: samples::at(0),
    };
    let updated = AccountUpdated { contact: samples::contact() };
    vec![
        event(Event::AccountCreated, created),
        event(Event::AccountUpdated, updated),
        event(Event::AccountDeactivated, AccountDeactivated {}),
    ]
}
