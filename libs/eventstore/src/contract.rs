//! What every adapter promises, as tests that adapters run against themselves.
//!
//! Each function uses aggregates of its own, so that all of them can run at once on one log.

mod append;
mod feed;
mod lossy;
mod pair;
mod tail;

use std::sync::Arc;

pub use append::{
    appends_survive_a_restart, commands_meet_at_one_append, lost_acks_never_write_twice,
    one_of_many_writers_wins_each_round, order_is_kept_and_read_at_once, scans_see_every_message,
    what_is_written_is_not_empty,
};
use domain::{
    AccountId, AccountKey, Thumbprint, Timestamp,
    account::{AccountCreated, AccountUpdated, Event},
};
pub use feed::{
    feeds_resume_after_a_restart, unacknowledged_deliveries_come_again, wakes_reach_every_listener,
    workers_share_a_consumer,
};
pub use pair::{
    commands_after_records_take_effect_once, the_first_of_a_pair_stays,
    the_second_of_a_pair_knows_the_first,
};
use ring::rand::{SecureRandom as _, SystemRandom};
pub use tail::{a_follower_goes_on_from_its_place, every_follower_sees_every_message};

use crate::{Actor, Context, EventFeed, EventStore, EventTail, Subject, Wakes};

/// The ports of one open adapter.
#[derive(Clone)]
pub struct Ports {
    /// Appends and reads.
    pub store: Arc<dyn EventStore>,
    /// Deliveries.
    pub feed: Arc<dyn EventFeed>,
    /// What followers see.
    pub tail: Arc<dyn EventTail>,
    /// Wakes.
    pub wakes: Arc<dyn Wakes>,
}

/// An adapter under test that can be closed and opened again on the same data.
#[async_trait::async_trait]
pub trait Harness: Send + Sync {
    /// Opens the adapter, or another client of the same log.
    async fn open(&self) -> Ports;
}

/// A context for test commands.
pub fn context() -> Context {
    Context {
        actor: Actor::Signer,
        request_id: Some("request".into()),
        traceparent: None,
        at: Timestamp::from_unix_seconds(1_800_000_000),
    }
}

/// An account that no other test uses, and its subject.
pub fn fresh_account() -> (AccountId, Subject) {
    let mut hash = [0; 32];
    SystemRandom::new().fill(&mut hash).expect("the operating system gives random numbers");
    let id = AccountId::from_hash(&hash);
    let subject = Subject::account(&id);
    (id, subject)
}

/// What makes that account.
pub fn creation(id: &AccountId) -> AccountCreated {
    AccountCreated {
        id: id.clone(),
        profile: "default".parse().expect("a profile name"),
        key: AccountKey { jwk: "{}".into(), thumbprint: Thumbprint("thumbprint".into()) },
        contact: vec![],
        terms_of_service_agreed: false,
        at: Timestamp::from_unix_seconds(1_800_000_000),
    }
}

/// An event that can follow another any number of times.
fn update(contact: &str) -> Event {
    Event::AccountUpdated(AccountUpdated { contact: vec![contact.to_owned()] })
}
