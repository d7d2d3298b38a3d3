//! The promises of the ports.

use std::{
    path::Path,
    sync::{Arc, Mutex, Weak},
};

use embedded::{Embedded, Options};
use eventstore::contract::{self, Harness, Ports};

/// One directory, which only one store can have open: whoever opens it meanwhile shares that one.
struct Directory {
    dir: tempfile::TempDir,
    open: Mutex<Weak<Embedded>>,
}

impl Directory {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), open: Mutex::default() }
    }
}

#[async_trait::async_trait]
impl Harness for Directory {
    async fn open(&self) -> Ports {
        let mut open = self.open.lock().unwrap();
        let store = open.upgrade().unwrap_or_else(|| Arc::new(fresh(self.dir.path())));
        *open = Arc::downgrade(&store);
        Ports { store: store.clone(), feed: store.clone(), tail: store.clone(), wakes: store }
    }
}

fn fresh(dir: &Path) -> Embedded {
    Embedded::open(dir, &Options::default()).unwrap()
}

macro_rules! promises_of_ports {
    ($($promise:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $promise() {
            contract::$promise(&Directory::new().open().await).await;
        })*
    };
}

promises_of_ports!(
    order_is_kept_and_read_at_once,
    one_of_many_writers_wins_each_round,
    commands_meet_at_one_append,
    lost_acks_never_write_twice,
    the_second_of_a_pair_knows_the_first,
    the_first_of_a_pair_stays,
    commands_after_records_take_effect_once,
    scans_see_every_message,
    what_is_written_is_not_empty,
    unacknowledged_deliveries_come_again,
    workers_share_a_consumer,
    every_follower_sees_every_message,
    a_follower_goes_on_from_its_place,
);

#[tokio::test]
async fn appends_survive_a_restart() {
    contract::appends_survive_a_restart(&Directory::new()).await;
}

#[tokio::test]
async fn feeds_resume_after_a_restart() {
    contract::feeds_resume_after_a_restart(&Directory::new()).await;
}

#[tokio::test]
async fn wakes_reach_every_listener() {
    let directory = Directory::new();
    let ports = directory.open().await;
    contract::wakes_reach_every_listener(&directory, &ports).await;
}

/// Caches of two entries show that the promises do not rest on memory.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_its_promises_without_memory() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        cached_orders: 2,
        cached_accounts: 2,
        cached_subjects: 2,
        recent_messages: 1,
        max_bytes: None,
    };
    let store = Arc::new(Embedded::open(dir.path(), &options).unwrap());
    let ports =
        Ports { store: store.clone(), feed: store.clone(), tail: store.clone(), wakes: store };
    contract::order_is_kept_and_read_at_once(&ports).await;
    contract::one_of_many_writers_wins_each_round(&ports).await;
    contract::lost_acks_never_write_twice(&ports).await;
    contract::workers_share_a_consumer(&ports).await;
    contract::unacknowledged_deliveries_come_again(&ports).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_read_model_keeps_its_promises() {
    let dir = tempfile::tempdir().unwrap();
    readmodel::contract::read_model(Arc::new(fresh(dir.path()))).await;
}
