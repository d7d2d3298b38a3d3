//! Views: what was written is read, and the newest stays.

use std::sync::Arc;

use domain::{Timestamp, order::Progress};
use eventstore::Sequence;
use futures::future::join_all;

use super::samples::{
    account, account_id, order, order_as, order_id, pre_authorization, pre_authorization_as,
};
use crate::{ReadModel, View};

/// A view is read back as it was written, and a newer one after it replaces it.
pub async fn a_view_is_read_back_equal(views: &dyn ReadModel) {
    let written = account(7);
    views.put_account(&written).await.expect("it is written");
    let read = views.account(&written.state.id).await.expect("it answers");
    assert_eq!(read, Some(written.clone()));

    let mut newer = written.clone();
    Arc::make_mut(&mut newer.state).contact = vec!["mailto:\u{1f511}\"\0@example.org".into()];
    newer.sequence = Sequence(u64::MAX);
    views.put_account(&newer).await.expect("it is written");
    let read = views.account(&newer.state.id).await.expect("it answers");
    assert_eq!(read, Some(newer));

    let written = order(7);
    views.put_order(&written).await.expect("it is written");
    let read = views.order(&written.state.id).await.expect("it answers");
    assert_eq!(read, Some(written.clone()));

    let mut ended = written.clone();
    let state = Arc::make_mut(&mut ended.state);
    state.expires_at = Timestamp::from_unix_seconds(1);
    state.progress = Progress::Open;
    ended.sequence = Sequence(8);
    views.put_order(&ended).await.expect("it is written");
    let read = views.order(&ended.state.id).await.expect("it answers");
    assert_eq!(read, Some(ended), "an order that has ended is read like any other");

    let written = pre_authorization(7);
    views.put_pre_authorization(&written).await.expect("it is written");
    let read = views.pre_authorization(&written.state.id).await.expect("it answers");
    assert_eq!(read, Some(written));
}

/// What nobody wrote is a miss.
pub async fn a_view_nobody_wrote_is_a_miss(views: &dyn ReadModel) {
    assert_eq!(views.account(&account_id()).await.expect("it answers"), None);
    assert_eq!(views.order(&order_id()).await.expect("it answers"), None);
    let nobodys = pre_authorization(7).state.id.clone();
    assert_eq!(views.pre_authorization(&nobodys).await.expect("it answers"), None);
}

/// A write with a lower or the same sequence changes nothing and is no error.
pub async fn an_older_view_never_replaces_a_newer(views: &dyn ReadModel) {
    // 10 and 9, 100 and 99: compared as numbers, not as text.
    for (newer, older) in [(10, 9), (100, 99), (5, 5), (u64::MAX, 1 << 53)] {
        let id = order_id();
        let first = order_as(&id, newer);
        views.put_order(&first).await.expect("it is written");
        let mut second = order_as(&id, older);
        Arc::make_mut(&mut second.state).progress = Progress::Open;
        views.put_order(&second).await.expect("it is no error");
        let read = views.order(&id).await.expect("it answers");
        assert_eq!(read, Some(first), "{older} after {newer}");
    }
    let newer = pre_authorization(10);
    let older = pre_authorization_as(&newer.state.id, 9);
    views.put_pre_authorization(&newer).await.expect("it is written");
    views.put_pre_authorization(&older).await.expect("it is no error");
    let read = views.pre_authorization(&newer.state.id).await.expect("it answers");
    assert_eq!(read, Some(newer));

    let newer = account(10);
    let older = View { state: Arc::clone(&newer.state), sequence: Sequence(9) };
    views.put_account(&newer).await.expect("it is written");
    views.put_account(&older).await.expect("it is no error");
    let read = views.account(&newer.state.id).await.expect("it answers");
    assert_eq!(read, Some(newer));
}

/// 16 writers that write 16 versions of one view, each in an order of its own, leave the newest; 20 rounds.
pub async fn of_parallel_writes_the_newest_stays(views: &Arc<dyn ReadModel>) {
    const WRITERS: u64 = 16;
    for _ in 0..20 {
        let id = order_id();
        let writers = (0..WRITERS).map(|writer| {
            let (views, id) = (Arc::clone(views), id.clone());
            tokio::spawn(async move {
                // An odd step visits every version once, from another place and in another order for each writer.
                for i in 0..WRITERS {
                    let sequence = 1 + (writer + i * (2 * writer + 1)) % WRITERS;
                    views.put_order(&order_as(&id, sequence)).await.expect("it is written");
                }
            })
        });
        for outcome in join_all(writers).await {
            outcome.expect("the writer ends");
        }
        let read = views.order(&id).await.expect("it answers").expect("it is there");
        assert_eq!(read.sequence, Sequence(WRITERS));
        assert_eq!(read.state.authorizations[0].challenges[0].token, format!("token-{WRITERS}"));
    }
}
