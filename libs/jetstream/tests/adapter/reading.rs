//! Reading beside the servers that write: with no more rights than that, and without a trace.

use eventstore::{
    AppendError, EventStore as _, Expected, Sequence, Stream, contract::fresh_account,
};
use futures::TryStreamExt as _;
use jetstream::{ConnectError, JetStream, Options};

use super::{
    Logs, append, development,
    nats::{Nats, Sync},
    stranger,
};

const READER: &str = r#"
authorization {
  users: [
    { user: writer, password: w }
    { user: reader, password: r, permissions: {
        publish: [ "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*" ]
        subscribe: [ "_INBOX.>" ]
    } }
  ]
}"#;

fn as_user(server: &Nats, login: &str) -> Options {
    development(vec![server.url().replace("nats://", &format!("nats://{login}@"))])
}

#[tokio::test]
async fn a_reader_of_an_empty_server_makes_nothing_and_says_what_is_missing() {
    let server = Nats::start(Sync::Lazy).await;
    let refusal = JetStream::open_read_only(&development(vec![server.url()])).await.err();
    let Some(ConnectError::StreamMissing { stream }) = &refusal else { panic!("{refusal:?}") };
    assert!(stream.starts_with("certmill-"), "{stream}");
    let raw = stranger(server.url()).await;
    assert!(raw.stream_names().try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_reader_of_a_server_without_jetstream_is_told_so() {
    let server = Nats::start_without_jetstream().await;
    let refusal = JetStream::open_read_only(&development(vec![server.url()])).await.err();
    assert!(matches!(refusal, Some(ConnectError::Disabled)), "{refusal:?}");
}

#[tokio::test]
async fn a_reader_needs_no_right_to_write() {
    let server = Nats::start_with_blocks(READER).await;
    let log = Logs(as_user(&server, "writer:w")).connect().await;
    let (_, subject) = fresh_account();
    let stored = append(&log, &subject, Expected::Anything, "a").await.unwrap();

    let reader = JetStream::open_read_only(&as_user(&server, "reader:r")).await.unwrap();
    let last = reader.last_sequence(Stream::Accounts).await.unwrap();
    let at = reader.message(Stream::Accounts, stored).await.unwrap().unwrap();
    let read = reader.read(&subject, Sequence::NONE).await.unwrap();
    let page = reader.scan(Stream::Accounts, Sequence::NONE, 10).await.unwrap();
    assert_eq!((last, &at.subject), (stored, &subject));
    assert_eq!((read.len(), page.len()), (1, 1));

    let refused = reader.append(&subject, Expected::Anything, &at.envelope).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_eq!(log.last_sequence(Stream::Accounts).await.unwrap(), stored);
}

#[tokio::test]
async fn a_reader_that_knows_of_fewer_order_streams_finds_all() {
    let server = Nats::start(Sync::Lazy).await;
    let shards = |order_shards| Options { order_shards, ..development(vec![server.url()]) };
    JetStream::connect(shards(6)).await.unwrap();
    for known in [1, 4, 6] {
        let reader = JetStream::open_read_only(&shards(known)).await.unwrap();
        assert_eq!(reader.order_shards(), 6);
    }
    let refusal = JetStream::open_read_only(&shards(7)).await.err();
    assert!(matches!(refusal, Some(ConnectError::StreamMissing { .. })), "{refusal:?}");
}
