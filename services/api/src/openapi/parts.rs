//! What several operations share: signed requests, problems and parameters.

use acme::{Problem, SignatureAlgorithm};
use domain::{AccountId, ChallengeType, IssuerId, OrderId, PreAuthorizationId, ProfileName};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::headers::{self, Header};

pub(super) const DESCRIPTION: &str = "Each profile is an ACME server of its own (RFC 8555): clients begin at a directory \
    and follow the URLs they find there, of which this document shows the form. Every POST below /acme has a flattened JWS \
    with a nonce as its body; its answer, also where it is a problem, has the next nonce in Replay-Nonce, unless none can be \
    made. Replies that belong to a profile have a Link to its directory with the relation index. Where GET is answered, HEAD is, \
    and OPTIONS everywhere, for scripts of all origins. What a profile does not offer is 404. What is no good HTTP, \
    or has a head that is too long, is refused without a problem document.";

pub(super) fn body(media_type: &str, schema: &Value) -> Value {
    json!({ "required": true, "content": { media_type: { "schema": schema } } })
}

/// Unpadded base64url of JSON.
pub(super) fn encoded(schema: &Value) -> Value {
    json!({
        "type": "string",
        "contentEncoding": "base64url",
        "contentMediaType": "application/json",
        "contentSchema": schema,
    })
}

pub(super) fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn response(name: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{name}") })
}

pub(super) fn parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

pub(super) fn responses(schemas: &mut SchemaGenerator) -> Value {
    let problem = schemas.subschema_for::<Problem>().to_value();
    let content = json!({ "application/problem+json": { "schema": problem } });
    let of_problems = [
        Header::Allow,
        Header::KeyHolder,
        Header::NextNonce,
        Header::RetryWhenLimited,
        Header::Terms,
    ];
    json!({
        "Problem": {
            "description": "The request is refused; detail says why (RFC 8555 §6.7).",
            "headers": headers::of(&of_problems),
            "content": content,
        },
        "Unavailable": {
            "description": "Something needed is out of reach, or the server is busy: the same request later.",
            "headers": headers::of(&[Header::NextNonce, Header::RetryAfter]),
            "content": content,
        },
    })
}

pub(super) fn parameters(schemas: &mut SchemaGenerator) -> Value {
    let text = || json!({ "type": "string" });
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let number_from = |minimum: u8| json!({ "type": "integer", "minimum": minimum });
    let in_path = [
        ("profile", "The name of a profile.", schema_of::<ProfileName>(schemas)),
        ("account", "The id of an account.", schema_of::<AccountId>(schemas)),
        ("order", "The id of an order.", schema_of::<OrderId>(schemas)),
        ("index", "The place of an authorization in its order.", number_from(0)),
        (
            "preAuthorization",
            "The id of a pre-authorization.",
            schema_of::<PreAuthorizationId>(schemas),
        ),
        ("type", "The type of a challenge.", schema_of::<ChallengeType>(schemas)),
        (
            "certificate",
            "The place of a certificate in the ledger, and its serial.",
            pattern("^[0-9]+-[0-9a-f]+$"),
        ),
        ("chain", "The number of another chain.", number_from(1)),
        (
            "crl",
            "The id of an issuer; where its CRL is divided, with how many parts and which.",
            pattern("^[0-9a-f]{16}(-[0-9]+-[0-9]+)?$"),
        ),
        ("issuer", "The id of an issuer.", schema_of::<IssuerId>(schemas)),
        ("request", "An OCSPRequest in DER, base64 and percent-encoded (RFC 6960 §A.1).", text()),
    ];
    let in_query = [
        ("cursor", "Which page, as a Link with the relation next says.", text()),
        ("configurationId", "The name of a profile, in EJBCA's form.", text()),
    ];
    let described = |place: &'static str| {
        move |(name, what, schema): (&str, &str, Value)| {
            let parameter = json!({
                "name": name,
                "in": place,
                "required": place == "path",
                "description": what,
                "schema": schema,
            });
            (name.to_owned(), parameter)
        }
    };
    let all = in_path.into_iter().map(described("path"));
    Value::Object(all.chain(in_query.into_iter().map(described("query"))).collect())
}

fn schema_of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

/// The schemas of what no type of ours is read from.
pub(super) fn schemas() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let jws = json!({
        "description": "A flattened JWS with one signature and no unprotected header (RFC 7515 §7.2.2, RFC 8555 §6.2).",
        "type": "object",
        "required": ["protected", "payload", "signature"],
        "properties": { "protected": text, "payload": text, "signature": text },
    });
    let change = json!({
        "description": "What the new key of an account signs (RFC 8555 §7.3.5).",
        "type": "object",
        "required": ["account", "oldKey"],
        "properties": { "account": { "type": "string", "format": "uri" }, "oldKey": schema("Jwk") },
    });
    let change_jws = json!({
        "description": "The JWS within a change of keys, signed by the new key, with the url of the outer one and no nonce.",
        "allOf": [schema("Jws")],
        "properties": {
            "protected": encoded(&schema("HeaderOfNewKey")),
            "payload": encoded(&schema("KeyChange")),
        },
    });
    let jwk = json!({
        "description": "A public key (RFC 7517): P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits.",
        "type": "object",
        "required": ["kty"],
        "properties": { "kty": { "enum": ["EC", "OKP", "RSA"] } },
    });
    let schemas = [
        ("Jws", jws),
        ("Jwk", jwk),
        ("KeyChange", change),
        ("KeyChangeJws", change_jws),
        (
            "HeaderOfAccount",
            protected("Names the account's key by the URL of the account.", &["nonce", "kid"]),
        ),
        ("HeaderOfKey", protected("Has the key itself.", &["nonce", "jwk"])),
        ("HeaderOfNewKey", protected("Has the new key itself.", &["jwk"])),
        ("HeaderOfEither", json!({ "oneOf": [schema("HeaderOfAccount"), schema("HeaderOfKey")] })),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// A protected header: beside `alg` and `url`, the members named.
fn protected(what: &str, others: &[&str]) -> Value {
    let members: Vec<&str> = ["alg", "url"].iter().chain(others).copied().collect();
    let mut properties = json!({
        "alg": { "enum": SignatureAlgorithm::names() },
        "url": { "type": "string", "format": "uri", "description": "That of the request." },
        "nonce": { "type": "string", "description": "From Replay-Nonce, never used before." },
        "kid": { "type": "string", "format": "uri" },
        "jwk": schema("Jwk"),
    });
    if let Some(properties) = properties.as_object_mut() {
        properties.retain(|name, _| members.contains(&name.as_str()));
    }
    json!({ "description": what, "type": "object", "required": members, "properties": properties })
}
