//! Environment variables that are meant to set a key and do not: left alone, they would leave it at its default.

use serde_json::Value;

use super::layers::{ENVIRONMENT_PREFIX, ENVIRONMENT_SEPARATOR};

/// What the names of all our variables begin with, those of settings and others.
const COMMON_PREFIX: &str = "CERTMILL_";

/// The variable that is meant by one that has one underscore in the place of two, such as `CERTMILL_DATA_DIR`.
pub(super) fn meant(variable: &str) -> Option<String> {
    if variable.starts_with(ENVIRONMENT_PREFIX) {
        return None;
    }
    let said = variable.strip_prefix(COMMON_PREFIX)?.replace(ENVIRONMENT_SEPARATOR, "_");
    let schema = super::config_schema();
    let mut paths = Vec::new();
    collect(&schema, &schema, &[], &mut paths);
    let path = paths.into_iter().find(|path| path.join("_").eq_ignore_ascii_case(&said))?;
    let key = path.join(ENVIRONMENT_SEPARATOR).to_ascii_uppercase();
    Some(format!("{ENVIRONMENT_PREFIX}{key}"))
}

/// Adds the path of each key of a table and of those in it; lists of tables have no variables of their own.
fn collect<'a>(
    schema: &'a Value,
    table: &'a Value,
    above: &[&'a str],
    paths: &mut Vec<Vec<&'a str>>,
) {
    for (key, property) in table["properties"].as_object().into_iter().flatten() {
        let path = [above, &[key.as_str()]].concat();
        let name = property["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        match name.map(|name| &schema["$defs"][name]) {
            Some(inner) if inner["properties"].is_object() => collect(schema, inner, &path, paths),
            Some(_) | None => paths.push(path),
        }
    }
}
