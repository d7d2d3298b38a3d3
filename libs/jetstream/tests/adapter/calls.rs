//! Questions to other roles, and what stays of those that nobody answers.

use std::{cell::Cell, slice, time::Duration};

use eventstore::{CALL_TIMEOUT, CallError, Calls as _, EventStore as _, Service, Stream};
use futures::future::join_all;
use jetstream::{JetStream, Options};
use tokio::time::timeout;

use super::{
    Logs,
    cluster::settled,
    development, eventually,
    nats::{Cluster, Nats, Sync},
};

/// Calls at once, and how often. Before they are measured memory has grown to what they take while they wait.
const AT_ONCE: usize = 2000;
const ROUNDS: usize = 30;
const WARM_UP: usize = 10;
/// For how long each is waited for: as with a client that hangs up.
const PATIENCE: Duration = Duration::from_millis(50);
/// What memory may grow by for each of them.
const MOST_BYTES: usize = 100;

/// The memory of this process that is in use, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
}

#[tokio::test]
async fn each_question_is_answered_by_one_of_those_who_serve() {
    const QUESTIONS: usize = 20;
    let server = Nats::start(Sync::Lazy).await;
    let logs = Logs(development(vec![server.url()]));
    let (asking, one, other) = (logs.connect().await, logs.connect().await, logs.connect().await);
    let nobody = asking.call(Service::Ocsp, vec![1]).await;
    assert!(matches!(nobody, Err(CallError::Unanswered)), "{nobody:?}");
    let mut one_serves = one.serve(Service::Ocsp).await.unwrap();
    let mut other_serves = other.serve(Service::Ocsp).await.unwrap();
    // The answers show that the server knows who serves.
    for serving in [&one, &other] {
        serving.last_sequence(Stream::Accounts).await.unwrap();
    }
    let asked = Cell::new(0);
    let answering = async {
        loop {
            let call = tokio::select! {
                call = one_serves.recv() => call.unwrap(),
                call = other_serves.recv() => call.unwrap(),
            };
            asked.set(asked.get() + 1);
            let answer = [&call.question[..], b"!"].concat();
            call.answer(answer);
        }
    };
    let asking_all = async {
        for n in 0..QUESTIONS {
            let question = n.to_string().into_bytes();
            let answer = asking.call(Service::Ocsp, question.clone()).await.unwrap();
            assert_eq!(answer, [&question[..], b"!"].concat());
        }
    };
    tokio::select! { () = answering => {}, () = asking_all => {} }
    assert_eq!(asked.get(), QUESTIONS, "what one answers nobody else is asked");

    // Who ends serves no more.
    drop(other_serves);
    let answering = async {
        while let Some(call) = one_serves.recv().await {
            call.answer(Vec::new());
        }
    };
    let asking_again = async {
        let mut served = 0;
        while served < QUESTIONS {
            // What was on its way when the other ended is lost.
            served = if asking.call(Service::Ocsp, vec![1]).await.is_ok() { served + 1 } else { 0 };
        }
    };
    tokio::select! {
        () = answering => {}
        served = timeout(4 * CALL_TIMEOUT, asking_again) => served.expect("only one serves"),
    }
}

#[tokio::test]
async fn a_question_that_nobody_answers_in_time_is_given_up() {
    let server = Nats::start(Sync::Lazy).await;
    let request_timeout = 4 * CALL_TIMEOUT;
    let logs = Logs(Options { request_timeout, ..development(vec![server.url()]) });
    let (asking, serving) = (logs.connect().await, logs.connect().await);
    let _busy = serving.serve(Service::Crl).await.unwrap();
    serving.last_sequence(Stream::Accounts).await.unwrap();
    let unanswered = timeout(2 * CALL_TIMEOUT, asking.call(Service::Crl, vec![1])).await;
    let unanswered = unanswered.expect("it is given up");
    assert!(matches!(unanswered, Err(CallError::Unanswered)), "{unanswered:?}");
}

#[tokio::test]
async fn a_question_that_cannot_be_asked_is_not_said_to_be_unanswered() {
    let mut server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let _busy = log.serve(Service::Ocsp).await.unwrap();
    let asking = log.call(Service::Ocsp, vec![1]);
    let (interrupted, ()) = tokio::join!(asking, async {
        log.last_sequence(Stream::Accounts).await.unwrap();
        server.kill();
    });
    assert!(matches!(interrupted, Err(CallError::Unavailable(_))), "{interrupted:?}");
    let refused = log.call(Service::Ocsp, vec![1]).await;
    assert!(matches!(refused, Err(CallError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_question_whose_server_dies_is_asked_again_over_another() {
    let mut cluster = Cluster::start().await;
    let (asking, serving) = apart(&cluster).await;
    let mut calls = serving.serve(Service::Ocsp).await.unwrap();
    let known = async {
        while let Some(call) = calls.recv().await {
            call.answer(vec![1]);
        }
    };
    // The other servers hear a moment later who serves.
    tokio::select! {
        () = known => panic!("the questions ended"),
        _ = eventually("an answer", async || asking.call(Service::Ocsp, vec![1]).await) => {}
    }
    let answering = async {
        let _lost = calls.recv().await.unwrap();
        cluster.servers[0].kill();
        calls.recv().await.unwrap().answer(vec![2]);
    };
    let asked = async { tokio::join!(asking.call(Service::Ocsp, vec![1]), answering) };
    let (answer, ()) = timeout(2 * CALL_TIMEOUT, asked).await.expect("it is asked again");
    assert_eq!(answer.unwrap(), [2]);
}

/// It waits for no leader, and asks for no deliveries.
#[tokio::test]
async fn who_asks_only_questions_leaves_a_server_that_is_cut_off() {
    let (cluster, routes) = Cluster::start_with_routes().await;
    let (asking, serving) = apart(&cluster).await;
    let mut calls = serving.serve(Service::Ocsp).await.unwrap();
    serving.last_sequence(Stream::Accounts).await.unwrap();
    let answering = async {
        while let Some(call) = calls.recv().await {
            call.answer(vec![2]);
        }
    };
    let asked = async {
        routes.cut_off(&cluster.servers[0].name);
        asking.call(Service::Ocsp, vec![1]).await.unwrap_err();
        eventually("an answer", async || asking.call(Service::Ocsp, vec![1]).await).await
    };
    tokio::select! {
        () = answering => panic!("the questions ended"),
        answer = asked => assert_eq!(answer, [2]),
    }
}

/// Logs that are connected to the first of the servers, and to another.
async fn apart(cluster: &Cluster) -> (JetStream, JetStream) {
    settled(&Logs(cluster.options())).await;
    let urls = cluster.options().servers;
    let (first, others) = urls.split_first().unwrap();
    let at = async |urls: &[String]| {
        settled(&Logs(Options { servers: urls.to_vec(), ..cluster.options() })).await
    };
    (at(slice::from_ref(first)).await, at(others).await)
}

#[tokio::test]
async fn of_calls_that_nobody_answers_nothing_stays() {
    let server = Nats::start(Sync::Lazy).await;
    let logs = Logs(development(vec![server.url()]));
    let (asking, serving) = (logs.connect().await, logs.connect().await);
    // It takes as many as may wait, and answers none.
    let _busy = serving.serve(Service::Ocsp).await.unwrap();
    let mut before = 0;
    for round in 0..ROUNDS {
        if round == WARM_UP {
            before = resident();
        }
        let calls =
            (0..AT_ONCE).map(|_| timeout(PATIENCE, asking.call(Service::Ocsp, vec![1; 100])));
        join_all(calls).await;
    }
    let grown = resident().saturating_sub(before) / ((ROUNDS - WARM_UP) * AT_ONCE);
    assert!(grown < MOST_BYTES, "{grown} bytes for each");
}
