//! Views that are written late: after memory was lost that held newer ones.

use std::sync::Arc;

use domain::{
    AccountKey, Thumbprint, Timestamp,
    account::{Account, AccountCreated, Command},
    key_use::{self, KeyUse},
};
use embedded::{Embedded, Options};
use eventstore::{Actor, Context, Loaded, Subject, execute};
use readmodel::{Aggregates, contract::account};
use redis_store::RedisStore;

use crate::server::on_each;

fn context() -> Context {
    let at = Timestamp::from_unix_seconds(1_800_000_000);
    Context { actor: Actor::Signer, request_id: None, traceparent: None, at }
}

#[tokio::test]
async fn a_view_that_is_written_late_does_not_bring_back_an_account_that_was_deactivated() {
    on_each(&[], async |server| {
        let dir = tempfile::tempdir().unwrap();
        let log = Arc::new(Embedded::open(dir.path(), &Options::default()).unwrap());
        let over = |views: RedisStore| Aggregates { store: log.clone(), views: Arc::new(views) };
        let (slow, other) = (over(server.store().await), over(server.store().await));
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
        execute::<KeyUse>(log.as_ref(), &subject, Loaded::default(), &create, &context())
            .await
            .unwrap();

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
