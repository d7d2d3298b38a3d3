//! The events of a key for external accounts.

use domain::external_key::{
    Event, ExternalKeyCreated, ExternalKeyDisabled, ExternalKeyUsed, SealedSecret, Uses,
};

use super::{EventSchema, event, samples};
use crate::failure::Failure;

pub(super) fn events() -> Vec<Result<EventSchema, Failure>> {
    let created = ExternalKeyCreated {
        id: samples::external_key(),
        profile: samples::profile(),
        secret: SealedSecret(samples::TOKEN.to_owned()),
        uses: Uses::OneAccount,
        expires_at: Some(samples::days(30)),
        names: samples::names(),
        at: samples::at(0),
    };
    let used = ExternalKeyUsed { account: samples::account(), at: samples::at(0) };
    vec![
        event(Event::ExternalKeyCreated, created),
        event(Event::ExternalKeyUsed, used),
        event(Event::ExternalKeyDisabled, ExternalKeyDisabled {}),
    ]
}
