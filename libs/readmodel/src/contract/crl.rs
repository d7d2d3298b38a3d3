//! CRLs: the newest stays.

use domain::{CrlName, CrlShards, Timestamp};

use super::samples::issuer;
use crate::{Crl, ReadModel};

/// A CRL is replaced by one with a higher number only, byte for byte.
pub async fn the_crl_with_the_highest_number_stays(views: &dyn ReadModel) {
    let issuer = issuer();
    let name = CrlName::whole(issuer.clone());
    assert_eq!(views.crl(&name).await.expect("it answers"), None);
    let crl = |number: u64, content: u8| Crl {
        // Every octet value, and more than fits into one buffer.
        der: (0..=u8::MAX).cycle().take(100_000).chain([content]).collect(),
        number,
        next_update: Timestamp::from_unix_millis(4_102_444_800_123),
    };
    let steps = [(crl(9, 1), 9, 1), (crl(10, 2), 10, 2), (crl(9, 3), 10, 2), (crl(10, 4), 10, 2)];
    for (published, number, content) in steps {
        views.put_crl(&name, &published).await.expect("it is no error");
        let read = views.crl(&name).await.expect("it answers").expect("it is there");
        assert_eq!(*read, crl(number, content));
    }
    // A shard is another CRL than the whole.
    let shards = CrlShards::try_from(4).expect("a power of two");
    let shard = CrlName::all(&issuer, shards).last().expect("there are four");
    assert_eq!(views.crl(&shard).await.expect("it answers"), None);
    views.put_crl(&shard, &crl(5, 5)).await.expect("it is no error");
    assert_eq!(*views.crl(&shard).await.expect("it answers").expect("it is there"), crl(5, 5));
}
