//! The events of an account.

use domain::account::{
    AccountBound, AccountCreated, AccountDeactivated, AccountKeyChanged, AccountKeyClaimed,
    AccountTermsAgreed, AccountUpdated, Binding, Event,
};

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
    let agreed = AccountTermsAgreed {
        terms_of_service: "https://ca.example.com/terms".to_owned(),
        at: samples::at(0),
    };
    let bound = AccountBound {
        key: samples::external_key(),
        binding: Binding {
            protected: "eyJhbGciOiJIUzI1NiJ9".to_owned(),
            payload: "eyJrdHkiOiJFQyJ9".to_owned(),
            signature: samples::TOKEN.to_owned(),
        },
        names: samples::names(),
        at: samples::at(0),
    };
    let claimed = AccountKeyClaimed {
        account: samples::account(),
        key: samples::account_key().thumbprint,
        at: samples::at(0),
    };
    let changed = AccountKeyChanged { key: samples::account_key(), at: samples::at(0) };
    vec![
        event(Event::AccountCreated, created),
        event(Event::AccountUpdated, updated),
        event(Event::AccountTermsAgreed, agreed),
        event(Event::AccountBound, bound),
        event(Event::AccountKeyClaimed, claimed),
        event(Event::AccountKeyChanged, changed),
        event(Event::AccountDeactivated, AccountDeactivated {}),
    ]
}
