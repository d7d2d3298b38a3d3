//! One operation of the document: a method on a path, what it takes and what it answers.

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{
    Schemas,
    headers::{self, Header},
    parts,
};
use crate::request::JOSE;

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

pub(super) struct Operation {
    /// The path with its parameters in braces.
    pub(super) path: &'static str,
    pub(super) method: Method,
    id: &'static str,
    summary: &'static str,
    query: Option<&'static str>,
    request: Request,
    answers: Vec<Answer>,
}

enum Request {
    Nothing,
    Signed(SignedBy, Payload),
    Other(&'static str),
}

/// What the protected header of a request names its key by (RFC 8555 §6.2).
#[derive(Clone, Copy)]
pub(super) enum SignedBy {
    /// The URL of an account, in `kid`.
    Account,
    /// The key itself, in `jwk`.
    Key,
    /// Either.
    Either,
}

/// What is signed.
#[derive(Clone, Copy)]
pub(super) enum Payload {
    /// Nothing: the request reads (RFC 8555 §6.3).
    Empty,
    Object(SchemaOf),
    /// An object that changes the resource, or nothing, which reads it.
    ObjectOrEmpty(SchemaOf),
    /// The JWS that the new key of an account signed (RFC 8555 §7.3.5).
    KeyChange,
}

pub(super) struct Answer {
    status: u16,
    what: &'static str,
    content: Map<String, Value>,
    resource: Option<SchemaOf>,
    headers: Vec<Header>,
}

impl Operation {
    pub(super) fn new(
        (method, path): (Method, &'static str),
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let request = Request::Nothing;
        Self { path, method, id, summary, query: None, request, answers: Vec::new() }
    }

    pub(super) fn signed(mut self, by: SignedBy, payload: Payload) -> Self {
        self.request = Request::Signed(by, payload);
        self
    }

    /// Takes a body of another media type than a JWS has.
    pub(super) fn takes(mut self, media_type: &'static str) -> Self {
        self.request = Request::Other(media_type);
        self
    }

    /// Has a parameter in the query, named as in [`parts::parameters`].
    pub(super) fn queried(mut self, name: &'static str) -> Self {
        self.query = Some(name);
        self
    }

    pub(super) fn answers(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// The names of the parameters in the path.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
    }

    pub(super) fn describe(&self, schemas: &mut Schemas) -> Value {
        let mut described = json!({ "operationId": self.id, "summary": self.summary });
        if let Some(name) = self.query {
            described["parameters"] = json!([parts::parameter(name)]);
        }
        match self.request {
            Request::Nothing => {}
            Request::Signed(by, payload) => {
                described["requestBody"] = parts::body(JOSE, &signed(by, payload, schemas));
            }
            Request::Other(media_type) => {
                described["requestBody"] = parts::body(media_type, &json!({}));
            }
        }
        described["responses"] = self.responses(schemas);
        described
    }

    fn responses(&self, schemas: &mut Schemas) -> Value {
        let mut responses = Map::new();
        for answer in &self.answers {
            responses.insert(answer.status.to_string(), answer.describe(schemas));
        }
        responses.insert("503".into(), parts::response("Unavailable"));
        responses.insert("4XX".into(), parts::response("Problem"));
        responses.insert("5XX".into(), parts::response("Problem"));
        Value::Object(responses)
    }
}

impl Answer {
    pub(super) fn empty(status: u16, what: &'static str) -> Self {
        Self { status, what, content: Map::new(), resource: None, headers: Vec::new() }
    }

    pub(super) fn json<T: JsonSchema>(status: u16, what: &'static str) -> Self {
        Self { resource: Some(SchemaGenerator::subschema_for::<T>), ..Self::empty(status, what) }
    }

    pub(super) fn of_type(mut self, media_type: &str) -> Self {
        self.content.insert(media_type.to_owned(), json!({}));
        self
    }

    pub(super) fn with(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }

    fn describe(&self, schemas: &mut Schemas) -> Value {
        let mut described = json!({ "description": self.what });
        if !self.headers.is_empty() {
            described["headers"] = headers::of(&self.headers);
        }
        let mut content = self.content.clone();
        if let Some(resource) = self.resource {
            let schema = resource(&mut schemas.written);
            content.insert("application/json".into(), json!({ "schema": schema }));
        }
        if !content.is_empty() {
            described["content"] = Value::Object(content);
        }
        described
    }
}

fn signed(by: SignedBy, payload: Payload, schemas: &mut Schemas) -> Value {
    let header = match by {
        SignedBy::Account => "HeaderOfAccount",
        SignedBy::Key => "HeaderOfKey",
        SignedBy::Either => "HeaderOfEither",
    };
    let mut object = |of: SchemaOf| parts::encoded(&of(&mut schemas.read).to_value());
    let empty = json!({ "const": "" });
    let payload = match payload {
        Payload::Empty => empty,
        Payload::Object(of) => object(of),
        Payload::ObjectOrEmpty(of) => json!({ "anyOf": [object(of), empty] }),
        Payload::KeyChange => parts::encoded(&parts::schema("KeyChangeJws")),
    };
    json!({
        "allOf": [parts::schema("Jws")],
        "properties": { "protected": parts::encoded(&parts::schema(header)), "payload": payload },
    })
}
