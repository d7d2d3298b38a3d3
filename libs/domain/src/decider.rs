//! The two functions every aggregate consists of.

use serde::{Serialize, de::DeserializeOwned};

/// An aggregate: its events are decided from its state and a command, and its state is folded from its events.
pub trait Aggregate {
    /// What the rules need to know; folded from events, never stored as such.
    type State: Clone + Send + Sync + 'static;
    /// What somebody wants to happen, with every looked-up fact inside.
    type Command: Send + Sync;
    /// What happened.
    type Event: DomainEvent;
    /// Why a command is refused.
    type Rejection: std::error::Error + Send + Sync + 'static;

    /// Decides which events a command causes; an empty list means the command changes nothing.
    ///
    /// # Errors
    /// The rejection, when the rules forbid the command in this state.
    fn decide(
        state: Option<&Self::State>,
        command: &Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Applies one event. Events that cannot follow the state leave it as it is.
    fn evolve(state: Option<Self::State>, event: &Self::Event) -> Option<Self::State>;

    /// Applies events in order.
    fn fold<'a>(
        state: Option<Self::State>,
        events: impl IntoIterator<Item = &'a Self::Event>,
    ) -> Option<Self::State>
    where
        Self::Event: 'a,
    {
        events.into_iter().fold(state, Self::evolve)
    }
}

/// A stored event: serialized as `{"type": …, "data": …}`; its version says which shape `data` has.
pub trait DomainEvent: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Every event type of this aggregate with the version written today.
    const TYPES: &'static [(&'static str, u16)];

    /// The type under which this event is stored.
    fn event_type(&self) -> &'static str;
}
