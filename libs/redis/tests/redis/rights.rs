//! What a user of the server must be allowed to do.

use std::time::Duration;

use acme::{Nonces, Redeemed};
use redis_store::{ConnectError, Options, RedisStore, Rights};

use crate::server::{Server, on_each};

/// All that the adapter asks of a user.
fn rights() -> Rights {
    let commands = "get getex getrange hmget hset pexpire set setbit zadd zrangebylex zremrangebylex zrevrangebylex";
    let names = "epoch spent:* account:* order:* pre-authorization:* orders:* certificate:* complete:* crl:*";
    Rights {
        commands: commands.split(' ').collect(),
        keys: names.split(' ').map(|name| format!("certmill:{name}")).collect(),
    }
}

/// Makes a user who has these rights and nothing else.
async fn allow(server: &Server, connection: &[&str], rights: &Rights) -> String {
    let rules = ["ACL", "SETUSER", "certmill", "reset", "on", ">secret", "resetchannels"];
    let commands: Vec<String> = rights.commands.iter().map(|name| format!("+{name}")).collect();
    let keys: Vec<String> = rights.keys.iter().map(|key| format!("~{key}")).collect();
    let granted = commands.iter().chain(&keys).map(String::as_str);
    let words: Vec<&str> =
        rules.into_iter().chain(connection.iter().copied()).chain(granted).collect();
    server.command::<()>(&words).await;
    format!("redis://certmill:secret@127.0.0.1:{}", server.port())
}

/// What a connection needs whatever is done with it.
const CONNECTION: [&str; 3] = ["+info", "+evalsha", "+script|load"];

#[tokio::test]
async fn a_user_with_the_rights_that_are_tried_out_may_do_everything() {
    on_each(&[], async |server| {
        // Views are removed by the operator alone.
        let operator = ["+scan", "+unlink", "+type", "+zscore"];
        let url = allow(&server, &[&CONNECTION[..], &operator].concat(), &rights()).await;
        let options = Options { rights: rights(), ..Options::default() };
        let store = std::sync::Arc::new(RedisStore::connect(&url, options).await.unwrap());
        readmodel::contract::read_model(store.clone()).await;
        readmodel::contract::admission(store.clone(), store).await;
    })
    .await;
}

#[tokio::test]
async fn a_user_who_lacks_a_right_is_refused_with_its_name_and_nothing_is_written() {
    on_each(&[], async |server| {
        let check = async |connection: &[&str], granted: &Rights, missing: &str| {
            let url = allow(&server, connection, granted).await;
            let options = Options { rights: rights(), ..Options::default() };
            let error = RedisStore::connect(&url, options).await.unwrap_err();
            let found =
                matches!(&error, ConnectError::Forbidden { missing: found } if found == missing);
            assert!(found, "without {missing}: {error:?}");
            assert!(error.to_string().contains(missing) && !error.is_transient(), "{error}");
        };
        for command in rights().commands {
            let mut granted = rights();
            granted.commands.remove(command);
            check(&CONNECTION, &granted, &format!("+{command}")).await;
        }
        for key in rights().keys {
            let mut granted = rights();
            granted.keys.remove(&key);
            check(&CONNECTION, &granted, &format!("~{key}")).await;
        }
        for (place, right) in CONNECTION.into_iter().enumerate() {
            let mut connection = CONNECTION.to_vec();
            connection.remove(place);
            check(&connection, &rights(), right).await;
        }
        let keys: Vec<String> = server.command(&["KEYS", "*"]).await;
        assert!(keys.is_empty(), "{keys:?}");
    })
    .await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_noticed_and_so_is_its_return() {
    on_each(&[], async |server| {
        let url = allow(&server, &CONNECTION, &rights()).await;
        let options =
            Options { rights: rights(), check_every: Duration::ZERO, ..Options::default() };
        let store = RedisStore::connect(&url, options).await.unwrap();
        let nonce = store.issue(&crate::profile()).await.unwrap();
        server.command::<()>(&["ACL", "SETUSER", "certmill", "-setbit"]).await;
        let error = store.redeem(&crate::profile(), &nonce).await.unwrap_err();
        assert!(format!("{error:?}").contains("+setbit"), "{error:?}");
        server.command::<()>(&["ACL", "SETUSER", "certmill", "+setbit"]).await;
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    })
    .await;
}
