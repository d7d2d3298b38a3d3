//! The configuration reference, made from the JSON Schema: every key with its type, default and meaning.

use std::fmt::Write as _;

use serde_json::Value;

const INTRODUCTION: &str = "\
# Configuration

Written by `make schemas` from the types that read the configuration: change those, not this page.
`certmill reference` prints it, `certmill check-config` says what a configuration means and what is wrong with it, and
[certmill.schema.json](../schemas/config/certmill.schema.json) lets editors complete it.

The configuration is a TOML file, environment variables over it (`CERTMILL__API__LISTEN` is `api.listen`), and
`--set key=value` over both. Every key may be left out; one that nobody knows is refused.
";

/// The reference as Markdown.
pub fn config_reference() -> String {
    let schema = super::config_schema();
    let reference = Reference { definitions: &schema["$defs"] };
    let mut text = INTRODUCTION.to_owned();
    reference.write_values(&mut text);
    reference.write_table(&mut text, "", &schema);
    text
}

struct Reference<'a> {
    definitions: &'a Value,
}

/// A key whose value is a table, or a list of them, with keys of its own.
struct Inner<'a> {
    name: String,
    definition: &'a Value,
}

impl Reference<'_> {
    /// The forms of values that have a name.
    fn write_values(&self, text: &mut String) {
        text.push_str("\n## Values\n\n| type | form |\n|---|---|\n");
        for (name, definition) in members(self.definitions) {
            let is_text = definition["type"] == "string";
            let form = match (definition["description"].as_str(), definition["pattern"].as_str()) {
                (Some(description), _) => cell(description),
                (None, Some(pattern)) => format!("Matches `{}`.", cell(pattern)),
                (None, None) => continue,
            };
            if is_text {
                let _ = writeln!(text, "| {name} | {form} |");
            }
        }
    }

    /// The keys of a table, then the tables in it.
    fn write_table(&self, text: &mut String, name: &str, table: &Value) {
        let mut inner = Vec::new();
        let mut rows = String::new();
        for (key, property) in members(&table["properties"]) {
            match self.inner(name, key, property) {
                Some(found) => inner.push(found),
                None => self.write_row(&mut rows, key, property),
            }
        }
        let heading = match name {
            "" => "At the top".to_owned(),
            name => format!("`{name}`"),
        };
        let description = table["description"].as_str().filter(|_| !name.is_empty());
        // The first word of a table's description is its name, which is the heading here.
        let about = description.and_then(|it| it.split_once(": ")).map(|(_, about)| about);
        let _ = write!(text, "\n## {heading}\n\n");
        if let Some(about) = about {
            let _ = writeln!(text, "{}\n", capitalized(&cell(about)));
        }
        let _ = write!(text, "| key | type | default | meaning |\n|---|---|---|---|\n{rows}");
        for Inner { name, definition } in inner {
            self.write_table(text, &name, definition);
        }
    }

    fn inner(&self, above: &str, key: &str, property: &Value) -> Option<Inner<'_>> {
        let list = property["items"]["$ref"].as_str();
        let reference = property["$ref"].as_str().or(list)?;
        let definition = self.definition(reference)?;
        let path = match above.trim_matches(['[', ']']) {
            "" => key.to_owned(),
            above => format!("{above}.{key}"),
        };
        let name = if list.is_some() { format!("[[{path}]]") } else { format!("[{path}]") };
        definition["properties"].is_object().then_some(Inner { name, definition })
    }

    fn write_row(&self, rows: &mut String, key: &str, property: &Value) {
        let default = match &property["default"] {
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        let mut meaning = cell(property["description"].as_str().unwrap_or_default());
        let allowed = self.allowed(property);
        if !allowed.is_empty() {
            let _ = write!(meaning, " Allowed: {}", allowed.join(" "));
        }
        let kind = self.kind(property);
        let _ = writeln!(rows, "| `{key}` | {kind} | {default} | {meaning} |");
    }

    /// The type of a value in words.
    fn kind(&self, property: &Value) -> String {
        if let Some(reference) = referred(property) {
            let is_choice = self.definition(reference).is_some_and(|it| it["oneOf"].is_array());
            return if is_choice { "string".to_owned() } else { last(reference).to_owned() };
        }
        let named = match &property["type"] {
            Value::Array(types) => types.iter().find(|kind| *kind != "null"),
            kind => Some(kind),
        };
        match named.and_then(Value::as_str) {
            Some("array") => format!("list of {}", self.kind(&property["items"])),
            Some(kind) => kind.to_owned(),
            None => String::new(),
        }
    }

    /// The values there are to choose from, with what each means.
    fn allowed(&self, property: &Value) -> Vec<String> {
        let reference = referred(property).or_else(|| referred(&property["items"]));
        let choices = reference.and_then(|it| self.definition(it)?["oneOf"].as_array());
        let shown = |choice: &Value| {
            let meaning = cell(choice["description"].as_str().unwrap_or_default());
            Some(format!("`{}`: {meaning}", choice.get("const")?))
        };
        choices.into_iter().flatten().filter_map(shown).collect()
    }

    fn definition(&self, reference: &str) -> Option<&Value> {
        self.definitions.get(last(reference))
    }
}

/// The definition that a value has, or may have where it can be left out.
fn referred(property: &Value) -> Option<&str> {
    let choices = property["anyOf"].as_array().into_iter().flatten();
    std::iter::once(property).chain(choices).find_map(|it| it["$ref"].as_str())
}

/// The name at the end of a reference.
pub(super) fn last(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

/// What an object has.
pub(super) fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// Text as it may stand in a cell: on one line, and without the sign that ends it.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_schema_has_a_row_with_its_default_and_meaning() {
        let reference = config_reference();
        let schema = crate::config::config_schema();
        for (name, definition) in members(&schema["$defs"]) {
            for (key, property) in members(&definition["properties"]) {
                let meaning = cell(property["description"].as_str().unwrap_or_default());
                let is_there = |line: &str| {
                    line.starts_with(&format!("| `{key}` |")) && line.contains(&meaning)
                };
                let heads = |table: String| reference.contains(&table);
                let heads_a_table = heads(format!(".{key}]`\n")) || heads(format!(".{key}]]`\n"));
                assert!(heads_a_table || reference.lines().any(is_there), "{name}.{key}");
            }
        }
        assert!(reference.contains("| `hold` | Duration | `\"2s\"` |"), "{reference}");
        assert!(reference.contains("`\"as-requested\"`: The common name"), "{reference}");
        for table in ["[api]", "[[profile]]", "[profile.validation]", "[profile.account_keys]"] {
            assert!(reference.contains(&format!("\n## `{table}`\n")), "{table}");
        }
    }
}
