//! What the public listener answers, as an OpenAPI document made of the types that read requests and write replies.

mod headers;
mod operation;
mod operations;
mod parts;

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Map, Value, json};

use self::operation::Operation;

/// The place of schemas in the document.
const SCHEMAS: &str = "/components/schemas";

/// The generators of what is read and of what is written: a member may be optional in one and not in the other.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

/// The OpenAPI 3.1 document of all paths, whether a profile offers them or not.
pub fn openapi() -> Value {
    let settings =
        || SchemaSettings::draft2020_12().with(|it| it.definitions_path = SCHEMAS.into());
    let mut schemas = Schemas {
        read: settings().for_deserialize().into_generator(),
        written: settings()
            .for_serialize()
            .with_transform(RecursiveTransform(never_null))
            .into_generator(),
    };
    let paths = paths(&operations::all(), &mut schemas);
    let responses = parts::responses(&mut schemas.written);
    let parameters = parts::parameters(&mut schemas.written);
    let mut components = parts::schemas();
    components.extend(schemas.read.take_definitions(true));
    components.extend(schemas.written.take_definitions(true));
    components.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Certmill",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The ACME directories of a Certmill, its CRLs and its OCSP responder.",
            "description": parts::DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{
            "url": "{base_url}",
            "variables": { "base_url": {
                "default": "https://localhost:14000",
                "description": "What api.base_url says in the configuration.",
            } },
        }],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": responses,
            "headers": headers::all(),
            "parameters": parameters,
        },
    })
}

/// Replies leave out what is not there: a member that may be absent is never `null`, which some clients do not take.
fn never_null(schema: &mut Schema) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|it| it["type"] != "null");
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            schema.extend(only);
        }
    }
}

fn paths(operations: &[Operation], schemas: &mut Schemas) -> Map<String, Value> {
    let mut paths = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path).or_insert_with(|| {
            let names = operation.placeholders();
            let parameters: Vec<Value> = names.map(parts::parameter).collect();
            json!({ "parameters": parameters })
        });
        let method = operation.method.as_str().to_ascii_lowercase();
        item[method] = operation.describe(schemas);
    }
    paths
}
