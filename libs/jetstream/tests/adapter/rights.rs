//! Rights that a running process loses by mistake, and is given back.

use eventstore::{
    Calls as _, Expected, Sequence, Service, Wake, Wakes as _, contract::fresh_account,
};

use super::{Logs, append, development, eventually, nats::Nats};

const USER: &str = "{ user: a, password: b, permissions: { subscribe: \">\" } }";
const DEAF: &str = "{ user: a, password: b, permissions: { subscribe: \"nothing\" } }";

#[tokio::test]
async fn what_a_user_may_hear_again_is_heard_again() {
    let server = Nats::start_with_blocks(&format!("authorization {{ users: [ {USER} ] }}")).await;
    let logs = Logs(development(vec![server.url().replace("nats://", "nats://a:b@")]));
    let (log, other) = (logs.connect().await, logs.connect().await);
    let mut calls = log.serve(Service::Ocsp).await.unwrap();
    tokio::spawn(async move {
        while let Some(call) = calls.recv().await {
            call.answer(vec![1]);
        }
    });
    let mut wakes = log.subscribe();
    let (_, subject) = fresh_account();
    append(&log, &subject, Expected::Last(Sequence::NONE), "a").await.unwrap();

    server.reconfigure(USER, DEAF);
    eventually("nothing is heard", async || {
        match append(&log, &subject, Expected::Anything, "b").await {
            Ok(_) => Err(()),
            Err(_) => Ok(()),
        }
    })
    .await;
    server.reconfigure(DEAF, USER);
    eventually("answers are heard", async || append(&log, &subject, Expected::Anything, "c").await)
        .await;
    eventually("questions are heard", async || other.call(Service::Ocsp, vec![2]).await).await;
    eventually("wakes are heard", async || {
        other.publish(Wake { subject: subject.clone(), sequence: Sequence(1) }).await;
        wakes.try_recv().map(drop)
    })
    .await;
}
