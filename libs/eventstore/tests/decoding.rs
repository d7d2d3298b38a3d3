//! Whatever stands in the log, decoding it ends in an event or an error, never in a panic.

use domain::{
    account,
    certificate::{LedgerEvent, RevocationEvent},
    order,
};
use eventstore::{Envelope, StoredEvent};
use proptest::{collection::vec, prelude::*};

const STORED: &str = r#"{"id":"AAAAAAAAAAAAAAAAAAAAAA","at":"2026-11-21T00:00:00Z",
    "actor":{"kind":"signer"},"events":[{"type":"IssuanceFailed","version":1,
    "data":{"failure":{"kind":"dns","detail":"no such name"},"at":"2026-11-21T00:00:00Z"}}]}"#;

/// Decodes as every kind of event there is.
fn decode(bytes: &[u8]) {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(bytes) else { return };
    let _ = envelope.event_types();
    for event in &envelope.events {
        decode_event(event);
    }
}

fn decode_event(event: &StoredEvent) {
    let _ = event.kind();
    let _ = event.decode::<account::Event>();
    let _ = event.decode::<order::Event>();
    let _ = event.decode::<LedgerEvent>();
    let _ = event.decode::<RevocationEvent>();
}

#[test]
fn the_sample_is_an_event() {
    let envelope: Envelope = serde_json::from_str(STORED).unwrap();
    let events: Vec<order::Event> = envelope.decode().unwrap();
    assert!(matches!(events.as_slice(), [order::Event::IssuanceFailed(_)]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_octets_never_panic(bytes in vec(any::<u8>(), 0..512)) {
        decode(&bytes);
    }

    #[test]
    fn a_message_with_flipped_octets_never_panics(
        flips in vec((0..STORED.len(), any::<u8>()), 1..8),
    ) {
        let mut bytes = STORED.as_bytes().to_vec();
        for (place, octet) in flips {
            bytes[place] = octet;
        }
        decode(&bytes);
    }

    #[test]
    fn any_type_version_and_data_never_panic(
        kind in prop_oneof![Just("OrderPlaced"), Just("CertRevoked"), Just("Unheard")],
        version in any::<u16>(),
        data in prop_oneof![Just("null"), Just("[]"), Just("{}"), Just("{\"id\":1}"), Just("\"\"")],
    ) {
        let json = format!(r#"{{"type":"{kind}","version":{version},"data":{data}}}"#);
        decode_event(&serde_json::from_str(&json).unwrap());
    }
}
