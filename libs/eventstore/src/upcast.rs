//! Old event versions are readable for ever: each step brings one version of one type to the next.

use serde_json::Value;

/// One step from a version of an event to the next.
#[derive(Clone, Copy, Debug)]
struct Upcaster {
    /// The event's type.
    kind: &'static str,
    /// The version it starts from.
    from: u16,
    /// Turns the old `data` into the new.
    step: fn(Value) -> Value,
}

/// Every step there is. A new version of an event adds one here and an example in `schemas/events`.
///
/// The second versions can hold more: addresses, tls-alpn-01, what CAA and TLS showed, the CSR's common name, alternate
/// chains. They say all that the first ones say. An order of the third version may rely on pre-authorizations.
const UPCASTERS: &[Upcaster] = &[
    Upcaster { kind: "OrderPlaced", from: 1, step: unchanged },
    Upcaster { kind: "OrderPlaced", from: 2, step: unchanged },
    Upcaster { kind: "ChallengeReady", from: 1, step: challenge_ready_v2 },
    Upcaster { kind: "ChallengeValidated", from: 1, step: unchanged },
    Upcaster { kind: "ChallengeFailed", from: 1, step: unchanged },
    Upcaster { kind: "OrderFinalized", from: 1, step: unchanged },
    Upcaster { kind: "SerialReserved", from: 1, step: unchanged },
    Upcaster { kind: "CertificateSigned", from: 1, step: unchanged },
];

fn unchanged(data: Value) -> Value {
    data
}

/// In the first version clients could not respond twice, and the event did not say whether a wildcard was asked for: dns-01 can
/// prove one, so there CAA is read as strictly as for a wildcard.
fn challenge_ready_v2(mut data: Value) -> Value {
    data["wildcard"] = Value::from(data["challenge"] == "dns-01");
    data["round"] = Value::from(1);
    data
}

/// Brings a stored event, as `{"type", "version", "data"}`, to the newest version a step leads to.
pub(crate) fn upcast(stored: Value) -> Value {
    upcast_with(UPCASTERS, stored)
}

fn upcast_with(steps: &[Upcaster], mut stored: Value) -> Value {
    while let Some(step) = steps
        .iter()
        .find(|step| stored["type"].as_str() == Some(step.kind) && stored["version"] == step.from)
    {
        stored["data"] = (step.step)(stored["data"].take());
        stored["version"] = Value::from(step.from + 1);
    }
    stored
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STEPS: &[Upcaster] = &[
        Upcaster { kind: "Named", from: 2, step: |data| json!({ "names": [data["name"]] }) },
        Upcaster { kind: "Named", from: 1, step: |data| json!({ "name": data["n"] }) },
        Upcaster { kind: "Other", from: 1, step: |_| json!("wrong") },
    ];

    #[test]
    fn an_old_event_takes_every_step_to_the_newest_version() {
        let old = json!({ "type": "Named", "version": 1, "data": { "n": "a" } });
        let new = json!({ "type": "Named", "version": 3, "data": { "names": ["a"] } });
        assert_eq!(upcast_with(STEPS, old), new);
    }

    #[test]
    fn a_challenge_of_the_first_version_was_asked_for_once_and_is_judged_strictly() {
        for (challenge, wildcard) in [("http-01", false), ("dns-01", true)] {
            let data = json!({ "challenge": challenge });
            let old = json!({ "type": "ChallengeReady", "version": 1, "data": data });
            let new = upcast(old);
            assert_eq!(new["version"], 2);
            assert_eq!(
                new["data"],
                json!({ "challenge": challenge, "wildcard": wildcard, "round": 1 })
            );
        }
    }

    #[test]
    fn a_current_event_is_left_alone() {
        let event = json!({ "type": "Named", "version": 3, "data": { "names": [] } });
        assert_eq!(upcast_with(STEPS, event.clone()), event);
    }
}
