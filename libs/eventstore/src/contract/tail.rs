//! Following the log.

use std::time::Duration;

use super::{Ports, append::append, fresh_account, update};
use crate::{Expected, Sequence, Stream, Subject, Tail};

/// Longer than any adapter takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn write(ports: &Ports, subject: &Subject, count: usize) -> Vec<Sequence> {
    let mut written = Vec::new();
    for i in 0..count {
        let event = [update(&i.to_string())];
        let stored = append(ports.store.as_ref(), subject, Expected::Anything, &event).await;
        written.push(stored.expect("it is stored"));
    }
    written
}

/// The next messages of a subject; those of others are passed over.
async fn see(tail: &mut dyn Tail, subject: &Subject, count: usize) -> Vec<Sequence> {
    let seen = async {
        let mut seen = Vec::new();
        while seen.len() < count {
            let message = tail.next().await.expect("the log answers");
            if message.subject == *subject {
                seen.push(message.sequence);
            }
        }
        seen
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("it is seen in time")
}

/// Two followers of the same streams see the same, in order, what was there before and what comes later.
pub async fn every_follower_sees_every_message(ports: &Ports) {
    let (_, subject) = fresh_account();
    let before = ports.store.last_sequence(Stream::Accounts).await.expect("the log answers");
    let mut expected = write(ports, &subject, 300).await;
    let from = [(Stream::Accounts, before), (Stream::Orders(0), Sequence::NONE)];
    let mut one = ports.tail.follow(&from).await.expect("it follows");
    let mut two = ports.tail.follow(&from).await.expect("it follows");
    assert_eq!(see(one.as_mut(), &subject, 300).await, expected);
    expected.extend(write(ports, &subject, 20).await);
    assert_eq!(see(one.as_mut(), &subject, 20).await, expected[300..]);
    assert_eq!(see(two.as_mut(), &subject, 320).await, expected);
}

/// Who follows from a place sees nothing of what is before it, and everything behind it.
pub async fn a_follower_goes_on_from_its_place(ports: &Ports) {
    let (_, subject) = fresh_account();
    let written = write(ports, &subject, 10).await;
    let mut tail = ports.tail.follow(&[(Stream::Accounts, written[6])]).await.expect("it follows");
    assert_eq!(see(tail.as_mut(), &subject, 3).await, written[7..]);
    drop(tail);
    let last = written[9];
    let mut tail = ports.tail.follow(&[(Stream::Accounts, last)]).await.expect("it follows");
    let later = write(ports, &subject, 2).await;
    assert_eq!(see(tail.as_mut(), &subject, 2).await, later);
}
