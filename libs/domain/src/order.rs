//! An order with its authorizations and challenges (RFC 8555 §7.1.3 to §7.1.6): one aggregate, so that "the last
//! authorization became valid" and "the order is ready" are one fact, and two finalizes meet at one append.

mod caa;
mod command;
mod decide;
mod event;
mod evolve;
mod state;

pub use caa::CAA_VALID_FOR;
pub use command::{Command, Rejection, Retries};
pub use event::{
    AuthorizationDeactivated, AuthorizationPlaced, CaaCheckFailed, CaaCheckNeeded, CaaChecked,
    CertificateIssued, CertificateReserved, ChallengeAttemptFailed, ChallengeFailed,
    ChallengePlaced, ChallengeReady, ChallengeValidated, Event, IssuanceFailed, OrderFinalized,
    OrderPlaced, ReliedOn, ReservationBurned,
};
pub use state::{Finalized, Progress, Reservation, State, Status};

use crate::Aggregate;
pub use crate::authorization::{
    Attempts, Authorization, AuthorizationIndex, AuthorizationStatus, Challenge, ChallengeStatus,
};

/// The order aggregate.
#[derive(Debug)]
pub enum Order {}

impl Aggregate for Order {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: Option<&State>, command: &Command) -> Result<Vec<Event>, Rejection> {
        decide::decide(state, command)
    }

    fn evolve(state: Option<State>, event: &Event) -> Option<State> {
        evolve::evolve(state, event)
    }
}
