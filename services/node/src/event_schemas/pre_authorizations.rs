//! The events of a pre-authorization that an order's authorizations have not.

use domain::{
    ChallengeType,
    order::ChallengePlaced,
    pre_authorization::{Event, ListingEvent, PreAuthorizationListed, PreAuthorizationPlaced},
};

use super::{EventSchema, event, samples};
use crate::failure::Failure;

pub(super) fn events() -> Vec<Result<EventSchema, Failure>> {
    let listed = PreAuthorizationListed { id: samples::pre_authorization() };
    vec![
        event(Event::PreAuthorizationPlaced, placed()),
        event(ListingEvent::PreAuthorizationListed, listed),
    ]
}

fn placed() -> PreAuthorizationPlaced {
    let challenge = |kind| ChallengePlaced { kind, token: samples::TOKEN.to_owned() };
    PreAuthorizationPlaced {
        id: samples::pre_authorization(),
        profile: samples::profile(),
        account: samples::account(),
        identifier: samples::proven(),
        challenges: ChallengeType::ALL.map(challenge).into(),
        at: samples::at(1),
        expires_at: samples::days(1),
    }
}
