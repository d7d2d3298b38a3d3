//! The headers of replies that clients act on.

use serde_json::{Value, json};

/// A header of replies: its name in the document, its own, whether it is always there, what it says.
struct Header(&'static str, &'static str, bool, &'static str);

const HEADERS: [Header; 11] = [
    Header("Allow", "Allow", false, "With 405, the methods that the resource takes."),
    Header("Location", "Location", true, "The URL of the resource."),
    Header(
        "KeyHolder",
        "Location",
        false,
        "With 409, the account that has the key (RFC 8555 §7.3.5).",
    ),
    Header("Nonce", "Replay-Nonce", true, "A nonce for the next request (RFC 8555 §6.5.1)."),
    Header("NextNonce", "Replay-Nonce", false, "A nonce for the next request (RFC 8555 §6.5.1)."),
    Header("RetryAfter", "Retry-After", true, "The seconds after which to ask again."),
    Header(
        "RetryWhenLimited",
        "Retry-After",
        false,
        "With 429, the seconds after which to ask again.",
    ),
    Header(
        "RetryWhileOpen",
        "Retry-After",
        false,
        "The seconds after which to ask again, while work is under way.",
    ),
    Header(
        "Terms",
        "Link",
        false,
        "With the relation terms-of-service, what to agree to (RFC 8555 §7.3.3); with index, the directory. Each on a line of its own.",
    ),
    Header(
        "Up",
        "Link",
        true,
        "With the relation up, the authorization; with index, the directory. Each on a line of its own.",
    ),
    Header(
        "Links",
        "Link",
        true,
        "With the relation next or alternate, what else there is; with index, the directory. Each on a line of its own.",
    ),
];

/// Every header, by its name in the document.
pub(super) fn all() -> Value {
    let described = HEADERS.iter().map(|Header(name, _, always, what)| {
        let schema = json!({ "type": "string" });
        let header = json!({ "description": what, "required": always, "schema": schema });
        ((*name).to_owned(), header)
    });
    Value::Object(described.collect())
}

/// The headers of a reply, by their names in the document.
pub(super) fn of(names: &[&str]) -> Value {
    let referred = names.iter().map(|name| {
        let known = HEADERS.iter().find(|Header(own, ..)| own == name);
        let called = known.map_or(*name, |Header(_, called, ..)| *called);
        (called.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
    });
    Value::Object(referred.collect())
}
