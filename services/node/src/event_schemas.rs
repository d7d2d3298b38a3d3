//! The JSON Schema of every event as it is stored today, each with an example; `schemas/events` holds the older versions.

mod accounts;
mod certificates;
mod external_keys;
mod orders;
mod pre_authorizations;
mod samples;

use domain::DomainEvent;
use eventstore::StoredEvent;
use schemars::{JsonSchema, Schema, schema_for};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// One version of one event type.
pub(crate) struct EventSchema {
    /// The type under which it is stored.
    kind: String,
    /// The version written today.
    version: u16,
    /// What its stored form looks like.
    pub(crate) schema: Value,
    /// A stored event of this version.
    pub(crate) example: Value,
}

impl EventSchema {
    /// What the schema and its example are called.
    pub(crate) fn name(&self) -> String {
        format!("{}.v{}", self.kind, self.version)
    }
}

/// Every event as it is stored today.
///
/// # Errors
/// When a type cannot be expressed in JSON.
pub(crate) fn events() -> Result<Vec<EventSchema>, Failure> {
    accounts::events()
        .into_iter()
        .chain(external_keys::events())
        .chain(orders::events())
        .chain(pre_authorizations::events())
        .chain(certificates::events())
        .collect()
}

/// Describes an event type by the event that holds the example.
fn event<E: DomainEvent, D: JsonSchema>(
    wrap: fn(D) -> E,
    example: D,
) -> Result<EventSchema, Failure> {
    let stored = StoredEvent::encode(&wrap(example))?;
    let (kind, version) = stored.kind()?;
    let schema = stored_form(&kind, version, schema_for!(D));
    Ok(EventSchema { schema, example: serde_json::from_str(stored.json())?, kind, version })
}

/// The schema of `{"type", "version", "data"}` around that of the data, whose definitions move to the top.
fn stored_form(kind: &str, version: u16, data: Schema) -> Value {
    let Value::Object(mut data) = data.to_value() else { return Value::Bool(false) };
    let mut schema = Map::new();
    let dialect = data.remove("$schema");
    let definitions = data.remove("$defs");
    let description = data.remove("description");
    data.remove("title");
    schema.extend(dialect.map(|dialect| ("$schema".to_owned(), dialect)));
    schema.insert("title".to_owned(), json!(format!("{kind} version {version}")));
    schema.extend(description.map(|text| ("description".to_owned(), text)));
    schema.insert("type".to_owned(), json!("object"));
    let properties =
        json!({ "type": { "const": kind }, "version": { "const": version }, "data": data });
    schema.insert("properties".to_owned(), properties);
    schema.insert("required".to_owned(), json!(["type", "version", "data"]));
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema.extend(definitions.map(|definitions| ("$defs".to_owned(), definitions)));
    Value::Object(schema)
}

#[cfg(test)]
pub(crate) use samples::{
    account as sample_account, order as sample_order, pre_authorization as sample_pre_authorization,
};

/// The example of an event type.
#[cfg(test)]
pub(crate) fn example(kind: &str) -> Value {
    let found = events().unwrap().into_iter().find(|event| event.kind == kind);
    found.unwrap_or_else(|| panic!("no event type {kind}")).example
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::{
        account,
        certificate::{
            ActiveCertificateEvent, BlockedKeyEvent, CrlDivisionEvent, LedgerEvent, RevocationEvent,
        },
        external_key, order, pre_authorization,
    };

    use super::*;

    #[test]
    fn every_event_type_has_a_schema_of_the_version_written_today() {
        let described: BTreeSet<(String, u16)> =
            events().unwrap().into_iter().map(|event| (event.kind, event.version)).collect();
        let written = [
            account::Event::TYPES,
            external_key::Event::TYPES,
            order::Event::TYPES,
            pre_authorization::Event::TYPES,
            pre_authorization::ListingEvent::TYPES,
            LedgerEvent::TYPES,
            RevocationEvent::TYPES,
            CrlDivisionEvent::TYPES,
            BlockedKeyEvent::TYPES,
            ActiveCertificateEvent::TYPES,
        ];
        let written: BTreeSet<(String, u16)> =
            written.concat().iter().map(|(kind, version)| ((*kind).to_owned(), *version)).collect();
        assert_eq!(described, written);
    }

    #[test]
    fn an_example_is_one_stored_event_of_its_type() {
        for event in events().unwrap() {
            let stored: StoredEvent = serde_json::from_value(event.example.clone()).unwrap();
            assert_eq!(stored.kind().unwrap(), (event.kind.clone(), event.version));
            let readable = stored.decode::<account::Event>().is_ok()
                || stored.decode::<external_key::Event>().is_ok()
                || stored.decode::<order::Event>().is_ok()
                || stored.decode::<pre_authorization::Event>().is_ok()
                || stored.decode::<pre_authorization::ListingEvent>().is_ok()
                || stored.decode::<LedgerEvent>().is_ok()
                || stored.decode::<RevocationEvent>().is_ok()
                || stored.decode::<CrlDivisionEvent>().is_ok()
                || stored.decode::<BlockedKeyEvent>().is_ok()
                || stored.decode::<ActiveCertificateEvent>().is_ok();
            assert!(readable, "{}", event.kind);
        }
    }

    #[test]
    fn every_reference_of_a_schema_leads_to_a_definition() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        for event in events().unwrap() {
            let mut found = Vec::new();
            references(&event.schema, &mut found);
            for reference in found {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(event.schema.pointer(pointer).is_some(), "{}: {reference}", event.kind);
            }
        }
    }
}
