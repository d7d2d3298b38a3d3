//! Views that are written late: after memory was lost that held newer ones.

use std::{pin::pin, sync::Arc, time::Duration};

use domain::{
    AccountId, AccountKey, Thumbprint, Timestamp,
    account::{Account, AccountCreated, Command, Status},
    key_use::{self, KeyUse},
    order::Order,
};
use embedded::{Embedded, Options};
use eventstore::{Actor, Context, EventStore, ExecuteError, Loaded, Sequence, Subject, execute};
use futures::{FutureExt as _, poll};
use readmodel::{
    Aggregates, View,
    contract::{account, order},
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::server::{Server, on_each};

fn context() -> Context {
    let at = Timestamp::from_unix_seconds(1_800_000_000);
    Context { actor: Actor::Signer, request_id: None, traceparent: None, at }
}

fn log() -> (TempDir, Arc<Embedded>) {
    let dir = tempfile::tempdir().unwrap();
    let log = Embedded::open(dir.path(), &Options::default()).unwrap();
    (dir, Arc::new(log))
}

/// What one node has: the log, and a connection of its own to the views.
async fn node(log: &Arc<Embedded>, server: &Server) -> Aggregates {
    Aggregates { store: log.clone(), views: Arc::new(server.store().await) }
}

/// Creates an account that has no view yet.
async fn create(log: &dyn EventStore) -> AccountId {
    let id = account(1).state.id.clone();
    let created = AccountCreated {
        id: id.clone(),
        profile: crate::profile(),
        key: AccountKey { jwk: "{}".to_owned(), thumbprint: Thumbprint("a".to_owned()) },
        contact: vec![],
        terms_of_service_agreed: false,
        at: context().at,
    };
    let create = key_use::Command::from(key_use::Creation::from(created));
    let subject = Subject::account(&id);
    execute::<KeyUse>(log, &subject, Loaded::default(), &create, &context()).await.unwrap();
    id
}

#[tokio::test]
async fn a_view_that_is_written_late_does_not_bring_back_an_account_that_was_deactivated() {
    on_each(&[], async |server| {
        let (_dir, log) = log();
        let (slow, other) = (node(&log, &server).await, node(&log, &server).await);
        let id = create(log.as_ref()).await;

        // One node has read the account; another deactivates it, and tells.
        let read = slow.fold::<Account>(&id).await.unwrap().unwrap();
        let told =
            other.execute::<Account>(&id, None, &Command::Deactivate, &context()).await.unwrap();
        assert!(told.sequence > read.sequence);
        server.command::<()>(&["FLUSHALL"]).await;

        let written = slow.put::<Account>(read).await.unwrap();
        assert_eq!(written, told);
        for views in [&slow.views, &other.views] {
            assert_eq!(views.account(&id).await.unwrap(), Some(told.clone()));
        }
    })
    .await;
}

/// Whoever is told of an older one may not be shown it, because others cannot read it yet.
#[tokio::test]
async fn an_order_that_is_being_written_can_be_decided_on_and_is_not_shown() {
    on_each(&[], async |mut server| {
        let (_dir, log) = log();
        let node = node(&log, &server).await;
        let newer = order(6);
        let id = &newer.state.id;
        let older = View { sequence: Sequence(5), ..newer.clone() };
        node.views.put_order(&older).await.unwrap();
        server.command::<()>(&["CLIENT", "PAUSE", "60000"]).await;
        assert_eq!(node.load_told::<Order>(id, Sequence(5)).await.unwrap(), Some(older));
        let mut writing = pin!(node.views.put_order(&newer));
        assert!(poll!(writing.as_mut()).is_pending());
        server.kill();
        assert_eq!(node.load_told::<Order>(id, Sequence(5)).await.unwrap(), None);
        for told in [5, 6] {
            let decided_on = node.load_delivered::<Order>(id, Sequence(told), |_| true).await;
            assert_eq!(decided_on.unwrap().as_ref(), Some(&newer));
        }
        // Whoever has nothing to decide hears that it cannot be read.
        let ended = node.load_delivered::<Order>(id, Sequence(6), |_| false).await;
        ended.unwrap_err();
        writing.await.unwrap_err();
        assert_eq!(node.views.recent_order(id, Sequence(6)), None, "it is to be written again");
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_told_when_others_see_the_state_it_tells_of() {
    on_each(&[], async |server| {
        let (_dir, log) = log();
        let (one, other) = (node(&log, &server).await, node(&log, &server).await);
        let id = create(log.as_ref()).await;
        let read = one.fold::<Account>(&id).await.unwrap().unwrap();

        // Somebody deactivated it and ended before the view was written.
        let (subject, deactivate) = (Subject::account(&id), Command::Deactivate);
        let known = Loaded { state: Some((*read.state).clone()), sequence: read.sequence };
        let deactivated =
            execute::<Account>(log.as_ref(), &subject, known, &deactivate, &context()).await;
        let deactivated = deactivated.unwrap().sequence;
        assert_eq!(other.views.account(&id).await.unwrap(), Some(read.clone()));

        let update = Command::UpdateContact(vec!["mailto:a@example.com".to_owned()]);
        let refused = one.execute::<Account>(&id, Some(read), &update, &context()).await;
        assert!(matches!(refused, Err(ExecuteError::Rejected(_))));
        let shown = other.views.account(&id).await.unwrap().unwrap();
        assert_eq!(shown.sequence, deactivated);
    })
    .await;
}

/// A command is stored and its view written in less time.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_command_whose_client_hung_up_is_seen_by_whoever_comes_next() {
    on_each(&[], async |server| {
        let (_dir, log) = log();
        let (one, other) = (node(&log, &server).await, node(&log, &server).await);
        let id = create(log.as_ref()).await;
        let known = one.fold::<Account>(&id).await.unwrap();

        let context = context();
        let executing = one.execute::<Account>(&id, known, &Command::Deactivate, &context);
        assert!(executing.now_or_never().is_none(), "it is on its way, and nobody waits for it");
        let shown = async {
            while other.views.account(&id).await.unwrap().unwrap().state.status == Status::Valid {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, shown).await.expect("nobody is shown the account as it was before");
    })
    .await;
}
