//! Where an order finds the pre-authorizations of its account: those for one identifier are listed at one place.

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

/// Lists one that was made.
#[derive(Clone, Debug)]
pub struct List {
    /// Which one.
    pub id: PreAuthorizationId,
    /// The newest that was listed when it was found to be needed.
    pub after: Option<PreAuthorizationId>,
}

/// Another one was listed meanwhile, which may be good enough: the caller looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another pre-authorization was listed meanwhile")]
pub struct Overtaken;

impl ListingState {
    /// The newest.
    pub fn newest(&self) -> Option<&PreAuthorizationId> {
        self.ids.first()
    }
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
    type Command = List;
    type Event = ListingEvent;
    type Rejection = Overtaken;

    fn decide(state: Option<&ListingState>, list: &List) -> Result<Vec<ListingEvent>, Overtaken> {
        if state.is_some_and(|state| state.ids.contains(&list.id)) {
            return Ok(vec![]);
        }
        if state.and_then(ListingState::newest) != list.after.as_ref() {
            return Err(Overtaken);
        }
        let id = list.id.clone();
        Ok(vec![ListingEvent::PreAuthorizationListed(PreAuthorizationListed { id })])
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

    fn id(n: u8) -> PreAuthorizationId {
        PreAuthorizationId::from_random(&[n; 16])
    }

    /// Lists one after the other.
    fn after(ids: &[u8]) -> Option<ListingState> {
        ids.iter().fold(None, |state, n| {
            let after = state.as_ref().and_then(ListingState::newest).cloned();
            let events = Listing::decide(state.as_ref(), &List { id: id(*n), after }).unwrap();
            Listing::fold(state, &events)
        })
    }

    #[test]
    fn the_newest_pre_authorizations_are_listed() {
        let state = after(&[1, 2, 3, 4, 5]).unwrap();
        assert_eq!(state.ids, [5, 4, 3, 2].map(id));
    }

    #[test]
    fn listing_twice_changes_nothing() {
        let listed = after(&[1, 2]);
        assert_eq!(after(&[1, 2, 2]), listed);
        let again = List { id: id(1), after: None };
        assert_eq!(Listing::decide(listed.as_ref(), &again), Ok(vec![]));
    }

    #[test]
    fn whoever_did_not_see_the_newest_looks_again() {
        let listed = after(&[1, 2]);
        for seen in [None, Some(id(1))] {
            let list = List { id: id(3), after: seen };
            assert_eq!(Listing::decide(listed.as_ref(), &list), Err(Overtaken));
        }
    }
}
