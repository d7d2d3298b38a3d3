//! Environment variables that are meant to set a key and do not: left alone, they would leave it at its default.

use serde_json::Value;

use super::{
    layers::{ENVIRONMENT_PREFIX, ENVIRONMENT_SEPARATOR},
    reference::{last, members},
};

/// What the names of all our variables begin with, those of settings and others.
const COMMON_PREFIX: &str = "CERTMILL_";

/// The first of these variables that has one underscore in the place of two, such as `CERTMILL_DATA_DIR`, and the one that
/// is meant.
pub(super) fn first<'a>(variables: impl IntoIterator<Item = &'a str>) -> Option<(&'a str, String)> {
    let is_ours = |variable: &&str| variable.starts_with(COMMON_PREFIX);
    let mut ours = variables.into_iter().filter(is_ours).peekable();
    // Most environments have none, and need no schema.
    ours.peek()?;
    let schema = super::config_schema();
    let mut paths = Vec::new();
    collect(&schema, &schema, &[], &mut paths);
    ours.find_map(|variable| {
        let said = variable.strip_prefix(COMMON_PREFIX)?.replace(ENVIRONMENT_SEPARATOR, "_");
        let path = paths.iter().find(|path| path.join("_").eq_ignore_ascii_case(&said))?;
        let key = path.join(ENVIRONMENT_SEPARATOR).to_ascii_uppercase();
        Some((variable, format!("{ENVIRONMENT_PREFIX}{key}")))
    })
}

/// Adds the path of each key of a table and of those in it; lists of tables have no variables of their own.
fn collect<'a>(
    schema: &'a Value,
    table: &'a Value,
    above: &[&'a str],
    paths: &mut Vec<Vec<&'a str>>,
) {
    for (key, property) in members(&table["properties"]) {
        let path = [above, &[key.as_str()]].concat();
        let inner = property["$ref"].as_str().map(|reference| &schema["$defs"][last(reference)]);
        match inner.filter(|inner| inner["properties"].is_object()) {
            Some(inner) => collect(schema, inner, &path, paths),
            None => paths.push(path),
        }
    }
}
