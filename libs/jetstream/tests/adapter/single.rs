//! One server, as in development.

use std::{collections::BTreeSet, time::Duration};

use async_nats::{header::NATS_MESSAGE_ID, jetstream::stream};
use domain::{
    OrderId,
    account::{Account, Command},
    key_use::{self, KeyUse},
};
use eventstore::{
    AppendError, Envelope, EventStore as _, Expected, Loaded, MessageId, Sequence, Stream, Subject,
    contract::{self, Harness as _, context, creation, fresh_account},
    execute,
};
use futures::future::join_all;
use jetstream::{JetStream, Options};

use super::{
    Logs, account_update, append, development, eventually,
    nats::{Nats, Sync},
    ports, stranger,
};

#[tokio::test]
async fn the_contract_holds_on_one_server() {
    let server = Nats::start(Sync::Lazy).await;
    let logs = Logs(development(vec![server.url()]));
    let ports = logs.open().await;
    contract::order_is_kept_and_read_at_once(&ports).await;
    contract::one_of_many_writers_wins_each_round(&ports).await;
    contract::commands_meet_at_one_append(&ports).await;
    contract::lost_acks_never_write_twice(&ports).await;
    contract::the_second_of_a_pair_knows_the_first(&ports).await;
    contract::the_first_of_a_pair_stays(&ports).await;
    contract::commands_after_records_take_effect_once(&ports).await;
    contract::appends_survive_a_restart(&logs).await;
    contract::scans_see_every_message(&ports).await;
    contract::what_is_written_is_not_empty(&ports).await;
    contract::feeds_resume_after_a_restart(&logs).await;
    contract::unacknowledged_deliveries_come_again(&ports).await;
    contract::workers_share_a_consumer(&ports).await;
    contract::every_follower_sees_every_message(&ports).await;
    contract::a_follower_goes_on_from_its_place(&ports).await;
    contract::wakes_reach_every_listener(&logs, &ports).await;
}

#[tokio::test]
async fn a_long_history_is_read_whole_and_in_order_from_any_place() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let ((_, subject), (_, other)) = (fresh_account(), fresh_account());
    let mut stored = Vec::new();
    for i in 0..240 {
        stored.push(append(&log, &subject, Expected::Anything, "a").await.unwrap());
        for _ in 0..i % 4 {
            append(&log, &other, Expected::Anything, "b").await.unwrap();
        }
    }
    for skipped in [0, 1, 2, 100, 220, 234, 235, 236, 237, 238, 239, 240] {
        let after = if skipped == 0 { Sequence::NONE } else { stored[skipped - 1] };
        let read = log.read(&subject, after).await.unwrap();
        let read: Vec<Sequence> = read.iter().map(|message| message.sequence).collect();
        assert_eq!(read, stored[skipped..], "after {skipped}");
    }
}

#[tokio::test]
async fn commands_that_meet_take_effect_one_after_the_other() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    commands_take_effect_one_after_the_other(&log).await;
}

/// All of 100 commands given to one aggregate at once take effect, each by one message.
pub(crate) async fn commands_take_effect_one_after_the_other(log: &JetStream) {
    let store = ports(log).store;
    let (id, subject) = fresh_account();
    let create = key_use::Creation::from(creation(&id)).into();
    let context = context();
    execute::<KeyUse>(store.as_ref(), &subject, Loaded::default(), &create, &context)
        .await
        .expect("the account is created");
    let updates = (0..100).map(|i| {
        let (store, subject, context) = (&store, &subject, &context);
        let command = Command::UpdateContact(vec![format!("mailto:{i}@example.com")]);
        async move {
            execute::<Account>(store.as_ref(), subject, Loaded::default(), &command, context).await
        }
    });
    let decided: Vec<Sequence> = join_all(updates)
        .await
        .into_iter()
        .map(|decided| decided.expect("the command takes effect").sequence)
        .collect();
    let read = store.read(&subject, Sequence::NONE).await.expect("the log answers");
    assert_eq!(read.len(), 101);
    assert_eq!(decided.into_iter().collect::<BTreeSet<_>>().len(), 100, "each has its message");
}

#[tokio::test]
async fn a_log_has_its_identity_until_it_is_made_anew() {
    let mut server = Nats::start(Sync::Lazy).await;
    let logs = Logs(development(vec![server.url()]));
    let identity = logs.connect().await.identity().await.unwrap();
    server.kill();
    server.restart().await;
    let raw = stranger(server.url()).await;
    let mut accounts = raw.get_stream("certmill-accounts").await.unwrap();
    let mut edited = accounts.info().await.unwrap().config.clone();
    edited.description = Some("edited".to_owned());
    raw.update_stream(edited).await.unwrap();
    assert_eq!(logs.connect().await.identity().await.unwrap(), identity);
    raw.delete_stream("certmill-accounts").await.unwrap();
    let anew = logs.connect().await.identity().await.unwrap();
    assert_ne!(anew, identity);
    let read_only = JetStream::open_read_only(&logs.0).await.unwrap();
    assert_eq!(read_only.identity().await.unwrap(), anew);
}

#[tokio::test]
async fn a_stream_that_was_edited_or_removed_beneath_the_log_is_noticed() {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let raw = stranger(server.url()).await;
    let set_max_age = async |stream: &str, max_age: Duration| {
        let mut edited = raw.get_stream(stream).await.unwrap().cached_info().config.clone();
        let before = std::mem::replace(&mut edited.max_age, max_age);
        raw.update_stream(edited).await.unwrap();
        before
    };
    log.verify().await.unwrap();

    let before = set_max_age("certmill-ledger", YEAR).await;
    let told = log.verify().await.unwrap_err().to_string();
    assert!(told.contains("stream certmill-ledger has max_age = 31536"), "{told}");
    set_max_age("certmill-ledger", before).await;
    log.verify().await.unwrap();
    let before = set_max_age("certmill-orders-01", YEAR).await;
    log.verify().await.expect("kept for longer than needed");
    set_max_age("certmill-orders-01", before / 2).await;
    log.verify().await.unwrap_err();
    set_max_age("certmill-orders-01", before).await;
    log.verify().await.unwrap();

    raw.delete_stream("certmill-revocations").await.unwrap();
    let told = log.verify().await.unwrap_err().to_string();
    assert!(told.contains("there is no stream certmill-revocations"), "{told}");
}

#[tokio::test]
async fn a_scan_goes_on_behind_messages_that_are_gone() {
    let server = Nats::start(Sync::Lazy).await;
    let options = development(vec![server.url()]);
    let log = Logs(options).connect().await;
    let subject = Subject::order(&OrderId::new(1, &[7; 16]));
    for _ in 0..30 {
        append(&log, &subject, Expected::Anything, "a").await.unwrap();
    }
    let stream = stranger(server.url()).await.get_stream("certmill-orders-01").await.unwrap();
    stream.purge().sequence(21).await.unwrap();
    let scanned = log.scan(Stream::Orders(1), Sequence(3), 7).await.unwrap();
    let scanned: Vec<u64> = scanned.iter().map(|message| message.sequence.0).collect();
    assert_eq!(scanned, [21, 22, 23, 24, 25, 26, 27]);
    assert_eq!(log.last_sequence(Stream::Orders(1)).await.unwrap(), Sequence(30));
    assert!(log.scan(Stream::Orders(1), Sequence(30), 7).await.unwrap().is_empty());
    assert!(log.scan(Stream::Orders(0), Sequence::NONE, 7).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_order_in_a_shard_that_never_was_does_not_exist() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let subject = Subject::order(&OrderId::new(99, &[7; 16]));
    assert!(log.read(&subject, Sequence::NONE).await.unwrap().is_empty());
    assert!(log.message(Stream::Orders(99), Sequence(1)).await.unwrap().is_none());
    assert!(log.scan(Stream::Orders(99), Sequence::NONE, 7).await.unwrap().is_empty());
    assert_eq!(log.last_sequence(Stream::Orders(99)).await.unwrap(), Sequence::NONE);
}

#[tokio::test]
async fn an_order_in_a_shard_that_newer_nodes_have_is_found_by_older_ones() {
    let server = Nats::start(Sync::Lazy).await;
    let older = Logs(development(vec![server.url()])).connect().await;
    let more = Options { order_shards: 4, ..development(vec![server.url()]) };
    let newer = Logs(more).connect().await;
    let subject = Subject::order(&OrderId::new(3, &[7; 16]));
    let first = append(&newer, &subject, Expected::Last(Sequence::NONE), "a").await.unwrap();
    let second = append(&older, &subject, Expected::Last(first), "b").await.unwrap();
    let read = older.read(&subject, Sequence::NONE).await.unwrap();
    assert_eq!(read.iter().map(|message| message.sequence).collect::<Vec<_>>(), [first, second]);
    assert_eq!(older.last_sequence(Stream::Orders(3)).await.unwrap(), second);
}

#[tokio::test]
async fn the_header_names_the_types_of_the_events() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let (id, subject) = fresh_account();
    let events = [
        domain::account::Event::AccountCreated(creation(&id)),
        account_update("a"),
        account_update("b"),
    ];
    let envelope = Envelope::new(MessageId::random(), &context(), &events).unwrap();
    let sequence = log.append(&subject, Expected::Anything, &envelope).await.unwrap();
    let stream = stranger(server.url()).await.get_stream("certmill-accounts").await.unwrap();
    let message = stream.get_raw_message(sequence.0).await.unwrap();
    let header = message.headers.get("Certmill-Events").unwrap();
    assert_eq!(header.as_str(), "AccountCreated,AccountUpdated");
    // Whoever cannot read a message knows by its id that it is ours.
    let id = message.headers.get(NATS_MESSAGE_ID).map(|id| id.as_str());
    assert_eq!(id, Some(envelope.id.as_str()));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_the_largest_one_fits() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let (_, subject) = fresh_account();
    let bare = [account_update("")];
    let bare = Envelope::new(MessageId::random(), &context(), &bare).unwrap();
    let room = Envelope::MAX_BYTES - serde_json::to_vec(&bare).unwrap().len();
    append(&log, &subject, Expected::Anything, &"a".repeat(room)).await.unwrap();
    let refused = append(&log, &subject, Expected::Anything, &"a".repeat(room + 1)).await;
    assert!(matches!(refused, Err(AppendError::TooLarge)), "{refused:?}");
}

#[tokio::test]
async fn a_stream_that_was_set_to_take_less_than_a_message_needs_is_unavailable() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let (_, subject) = fresh_account();
    let context = stranger(server.url()).await;
    let mut stream = context.get_stream("certmill-accounts").await.unwrap();
    let config = stream.info().await.unwrap().config.clone();
    let small = async_nats::jetstream::stream::Config { max_message_size: 100, ..config.clone() };
    context.update_stream(small).await.unwrap();
    let refused = append(&log, &subject, Expected::Anything, "a").await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    context.update_stream(config).await.unwrap();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
}

#[tokio::test]
async fn what_another_stream_holds_in_the_place_of_ours_is_neither_read_nor_written() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let order = Subject::order(&OrderId::new(1, &[7; 16]));
    let context = stranger(server.url()).await;
    for (subject, name) in [(fresh_account().1, "accounts"), (order, "orders-01")] {
        let last = append(&log, &subject, Expected::Last(Sequence::NONE), "a").await.unwrap();
        let ours = format!("certmill-{name}");
        let info = context.get_stream(&ours).await.unwrap().cached_info().clone();
        context.delete_stream(&ours).await.unwrap();
        // As after `nats stream restore` under another name.
        let config = stream::Config { name: format!("restored-{name}"), ..info.config };
        context.create_stream(config).await.unwrap();
        let lost = append(&log, &subject, Expected::Anything, "b").await;
        assert!(matches!(lost, Err(AppendError::Unavailable(_))), "{lost:?}");
        let stream = subject.stream();
        assert!(log.read(&subject, Sequence::NONE).await.is_err());
        assert!(log.message(stream, last).await.is_err());
        assert!(log.scan(stream, Sequence::NONE, 7).await.is_err());
        assert!(log.last_sequence(stream).await.is_err());
    }
}

#[tokio::test]
async fn nodes_that_start_at_once_make_one_log() {
    let server = Nats::start(Sync::Lazy).await;
    let hours = |hours: u64| Options {
        order_max_age: Duration::from_hours(hours),
        order_shards: 16,
        ..development(vec![server.url()])
    };
    // As while they are replaced by others that keep orders for longer.
    let (before, after) =
        tokio::join!(JetStream::connect(hours(100)), JetStream::connect(hours(200)));
    for node in [before.expect("it starts"), after.expect("it starts")] {
        node.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_took_too_little_for_a_while_is_used_again() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let (_, subject) = fresh_account();
    let append = async || append(&log, &subject, Expected::Anything, &"a".repeat(2000)).await;
    let is_learnt = |error: &AppendError| match error {
        AppendError::Unavailable(source) => source.to_string().contains("Payload size limit"),
        AppendError::Conflict | AppendError::Unknown(_) | AppendError::TooLarge => false,
    };
    server.limit_payload(1000);
    eventually("the limit is learnt", async || match append().await {
        Err(error) if is_learnt(&error) => Ok(()),
        outcome => Err(format!("{outcome:?}")),
    })
    .await;
    server.limit_payload(1024 * 1024);
    eventually("the new limit is learnt", append).await;
}

#[tokio::test]
async fn orders_are_kept_longer_when_asked_and_never_shorter() {
    let server = Nats::start(Sync::Lazy).await;
    let hours = |hours: u64| Options {
        order_max_age: Duration::from_secs(hours * 3600),
        ..development(vec![server.url()])
    };
    for (asked, kept) in [(100, 100), (200, 200), (100, 200)] {
        Logs(hours(asked)).connect().await;
        let mut stream =
            stranger(server.url()).await.get_stream("certmill-orders-00").await.unwrap();
        let max_age = stream.info().await.unwrap().config.max_age;
        assert_eq!(max_age, Duration::from_secs(kept * 3600), "asked for {asked} hours");
    }
}

#[tokio::test]
async fn two_logs_on_one_server_do_not_see_each_other() {
    let server = Nats::start(Sync::Lazy).await;
    let one = Logs(development(vec![server.url()])).connect().await;
    let prefix = "other".to_owned();
    let other = Logs(Options { prefix, ..development(vec![server.url()]) }).connect().await;
    let (_, subject) = fresh_account();
    append(&one, &subject, Expected::Last(Sequence::NONE), "a").await.unwrap();
    assert!(other.read(&subject, Sequence::NONE).await.unwrap().is_empty());
    append(&other, &subject, Expected::Last(Sequence::NONE), "a").await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_empty_again_still_ends_where_it_ended_and_holds_nothing() {
    let server = Nats::start(Sync::Lazy).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let (stranger, subject) =
        (stranger(server.url()).await, Subject::order(&OrderId::new(0, &[7; 16])));
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    let last = append(&log, &subject, Expected::Anything, "b").await.unwrap();
    stranger.get_stream("certmill-orders-00").await.unwrap().purge().await.unwrap();
    assert_eq!(log.last_sequence(Stream::Orders(0)).await.unwrap(), last);
    assert!(log.scan(Stream::Orders(0), Sequence::NONE, 1).await.unwrap().is_empty());
    let published = stranger.publish("certmill.order.00.x", "hello".into()).await.unwrap();
    published.await.unwrap();
    assert_eq!(log.last_sequence(Stream::Orders(0)).await.unwrap(), Sequence(last.0 + 1));
    assert!(log.scan(Stream::Orders(0), Sequence::NONE, 1).await.unwrap().is_empty());
}
