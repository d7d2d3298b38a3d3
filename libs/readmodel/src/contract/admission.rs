//! Admission: a nonce spent and views read, at once.

use std::sync::Arc;

use acme::Redeemed;
use domain::ProfileName;
use futures::future::join_all;

use super::samples::{account, account_id, order, order_id};
use crate::{Admission, ReadModel};

/// A nonce is good once; the views asked for come with the answer, also when the nonce is bad.
pub async fn a_nonce_is_good_once_and_views_come_with_it(
    admission: &dyn Admission,
    views: &dyn ReadModel,
) {
    let (account, order) = (account(3), order(4));
    views.put_account(&account).await.expect("it is written");
    views.put_order(&order).await.expect("it is written");
    let (account_of, order_of) = (&account.state.id, &order.state.id);
    let nonce = admission.issue(&ProfileName::default()).await.expect("a nonce is issued");
    let cases = [
        (nonce.as_str(), Redeemed::Fresh),
        (nonce.as_str(), Redeemed::Replayed),
        ("", Redeemed::Unknown),
        ("bm90IG91cnM", Redeemed::Unknown),
    ];
    for (nonce, expected) in cases {
        let both = admission
            .admit((&ProfileName::default(), nonce), Some(account_of), Some(order_of))
            .await;
        let both = both.expect("it answers");
        assert_eq!(both.nonce, expected);
        assert_eq!(both.account.as_ref(), Some(&account));
        assert_eq!(both.order.as_ref(), Some(&order));
    }

    let good = admission.issue(&ProfileName::default()).await.expect("a nonce is issued");
    let only_order = admission
        .admit((&ProfileName::default(), &good), None, Some(order_of))
        .await
        .expect("it answers");
    assert_eq!(only_order.nonce, Redeemed::Fresh);
    assert_eq!((only_order.account, only_order.order.as_ref()), (None, Some(&order)));
    assert_eq!(
        admission.redeem(&ProfileName::default(), &good).await.expect("it answers"),
        Redeemed::Replayed
    );

    let good = admission.issue(&ProfileName::default()).await.expect("a nonce is issued");
    assert_eq!(
        admission.redeem(&ProfileName::default(), &good).await.expect("it answers"),
        Redeemed::Fresh
    );
    let missing = admission
        .admit((&ProfileName::default(), &good), Some(&account_id()), Some(&order_id()))
        .await;
    let missing = missing.expect("it answers");
    assert_eq!(missing.nonce, Redeemed::Replayed);
    assert_eq!((missing.account, missing.order), (None, None), "what nobody wrote is a miss");

    let good = admission.issue(&ProfileName::default()).await.expect("a nonce is issued");
    let nothing =
        admission.admit((&ProfileName::default(), &good), None, None).await.expect("it answers");
    assert_eq!(nothing.nonce, Redeemed::Fresh);
    assert_eq!((nothing.account, nothing.order), (None, None));
}

/// Of 16 parallel admissions with one nonce exactly one is fresh, in each of 50 rounds, and all bring the view.
pub async fn of_parallel_admissions_one_is_fresh(
    admission: &Arc<dyn Admission>,
    views: &dyn ReadModel,
) {
    let order = order(1);
    views.put_order(&order).await.expect("it is written");
    for _ in 0..50 {
        let nonce = admission.issue(&ProfileName::default()).await.expect("a nonce is issued");
        let requests = (0..16).map(|_| {
            let (admission, nonce) = (Arc::clone(admission), nonce.clone());
            let id = order.state.id.clone();
            tokio::spawn(async move {
                admission.admit((&ProfileName::default(), &nonce), None, Some(&id)).await
            })
        });
        let mut fresh = 0;
        for outcome in join_all(requests).await {
            let admitted = outcome.expect("the request ends").expect("it answers");
            assert_eq!(admitted.order.as_ref(), Some(&order));
            assert_ne!(admitted.nonce, Redeemed::Unknown, "a nonce just issued is known");
            fresh += usize::from(admitted.nonce == Redeemed::Fresh);
        }
        assert_eq!(fresh, 1, "exactly one of the parallel admissions wins");
    }
}
