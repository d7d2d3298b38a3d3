//! What the tests of several files need: a configuration over a directory of its own, and a log with a story in it.

use std::path::Path;

use domain::{AccountId, OrderId, Serial};
use embedded::{Embedded, Options};
use eventstore::{Envelope, EventStore as _, Expected, Subject};
use runtime::Config;
use serde_json::{Value, json};

use crate::event_schemas;

/// A configuration of an embedded server.
pub(crate) fn config(data_dir: &Path, sets: &[&str]) -> Config {
    let data_dir = format!("data_dir={}", data_dir.display());
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).chain([data_dir]).collect();
    Config::load(None, [], &sets).unwrap()
}

/// Opens a log.
pub(crate) fn log(data_dir: &Path) -> Embedded {
    Embedded::open(data_dir, &Options::default()).unwrap()
}

/// Appends the examples of event types, one message each, a second apart.
pub(crate) async fn append(log: &Embedded, kinds: &[&str]) {
    for (second, kind) in kinds.iter().enumerate() {
        let example = event_schemas::example(kind);
        let envelope: Envelope = serde_json::from_value(json!({
            "id": format!("message-{second}"),
            "at": format!("2026-01-01T12:00:{second:02}Z"),
            "actor": { "kind": "operator", "name": "alice" },
            "events": [example],
        }))
        .unwrap();
        log.append(&subject(kind, &example), Expected::Anything, &envelope).await.unwrap();
    }
}

fn subject(kind: &str, example: &Value) -> Subject {
    let (order, account) = (event_schemas::sample_order(), event_schemas::sample_account());
    let data = &example["data"];
    let issued = || {
        let text = |field: &str| data[field].as_str().unwrap().to_owned();
        (text("issuer").parse().unwrap(), text("serial").parse().unwrap())
    };
    match kind {
        kind if kind.starts_with("Account") => Subject::account(&account),
        "SerialReserved" | "CertificateSigned" | "SerialBurned" => {
            let (issuer, serial) = issued();
            Subject::ledger(&issuer, &serial)
        }
        "CertRevoked" => {
            let (issuer, serial) = issued();
            Subject::revocation(&issuer, &serial)
        }
        "PreAuthorizationPlaced" => {
            Subject::pre_authorization(&event_schemas::sample_pre_authorization())
        }
        _ => Subject::order(&order),
    }
}

/// The account of the examples.
pub(crate) fn account() -> AccountId {
    event_schemas::sample_account()
}

/// The order of the examples.
pub(crate) fn order() -> OrderId {
    event_schemas::sample_order()
}

/// The serial of the examples.
pub(crate) fn serial() -> Serial {
    event_schemas::example("CertRevoked")["data"]["serial"].as_str().unwrap().parse().unwrap()
}
