//! Where an order finds the pre-authorizations of its account: those for one identifier are listed at one place.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Aggregate, DomainEvent, PreAuthorizationId};

/// How many are remembered: the newest may not be proven yet while one before it still is.
const MAX_LISTED: usize = 4;

/// The aggregate of one account and identifier.
#[derive(Debug)]
pub enum Listing {}

/// The pre-authorizations of one account for one identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingState {
    /// The newest first.
    pub ids: Vec<PreAuthorizationId>,
}

/// An event of the listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum ListingEvent {
    /// There is a newer one.
    PreAuthorizationListed(PreAuthorizationListed),
}

/// There is a newer pre-authorization. Stored: change it only by adding a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreAuthorizationListed {
    /// Which one.
    pub id: PreAuthorizationId,
}

impl DomainEvent for ListingEvent {
    const TYPES: &'static [(&'static str, u16)] = &[("PreAuthorizationListed", 1)];

    fn event_type(&self) -> &'static str {
        match self {
            Self::PreAuthorizationListed(_) => "PreAuthorizationListed",
        }
    }
}

/// The only command is to list one that was made; listing it twice changes nothing.
impl Aggregate for Listing {
    type State = ListingState;
    type Command = PreAuthorizationListed;
    type Event = ListingEvent;
    type Rejection = Infallible;

    fn decide(
        state: Option<&ListingState>,
        listed: &PreAuthorizationListed,
    ) -> Result<Vec<ListingEvent>, Infallible> {
        match state {
            Some(state) if state.ids.contains(&listed.id) => Ok(vec![]),
            Some(_) | None => Ok(vec![ListingEvent::PreAuthorizationListed(listed.clone())]),
        }
    }

    fn evolve(state: Option<ListingState>, event: &ListingEvent) -> Option<ListingState> {
        let ListingEvent::PreAuthorizationListed(listed) = event;
        let before = state.map(|state| state.ids).unwrap_or_default();
        let ids = std::iter::once(listed.id.clone()).chain(before).take(MAX_LISTED).collect();
        Some(ListingState { ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(n: u8) -> PreAuthorizationListed {
        PreAuthorizationListed { id: PreAuthorizationId::from_random(&[n; 16]) }
    }

    fn after(commands: &[PreAuthorizationListed]) -> Option<ListingState> {
        commands.iter().fold(None, |state, command| {
            let Ok(events) = Listing::decide(state.as_ref(), command);
            Listing::fold(state, &events)
        })
    }

    #[test]
    fn the_newest_pre_authorizations_are_listed() {
        let state = after(&[1, 2, 3, 4, 5].map(listed)).unwrap();
        assert_eq!(state.ids, [5, 4, 3, 2].map(|n| listed(n).id));
    }

    #[test]
    fn listing_twice_changes_nothing() {
        assert_eq!(after(&[1, 2, 2].map(listed)), after(&[1, 2].map(listed)));
    }
}
