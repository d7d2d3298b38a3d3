//! What a client can tell of a reply, without what is another for each server: URLs, ids, times and texts.

use std::collections::{BTreeMap, BTreeSet};

use acceptance::Reply;
use serde_json::Value;

/// What is seen of one reply, by what it is called.
pub(crate) type Facts = BTreeMap<String, String>;

/// The status and, of a refusal, the type of the problem.
pub(crate) const ANSWER: &str = "answer";
const HEADERS: [&str; 5] = ["location", "retry-after", "replay-nonce", "allow", "cache-control"];
const RELATIONS: [&str; 4] = ["index", "up", "terms-of-service", "alternate"];
/// The members whose values say the same on every server; of all others only the presence is compared.
const COMPARED: [&str; 9] = [
    "status",
    "wildcard",
    "contact[]",
    "identifier.type",
    "identifier.value",
    "identifiers[].type",
    "identifiers[].value",
    "challenges[].type",
    "challenges[].status",
];
/// The objects whose own members are looked at.
const OPENED: [&str; 5] = ["", "meta", "identifier", "identifiers[]", "challenges[]"];
/// What every problem has, and the answer tells.
const OF_EVERY_PROBLEM: [&str; 3] = ["type", "detail", "status"];

/// All that is seen of a reply.
pub(crate) fn whole(reply: &Reply) -> Facts {
    let mut facts = head(reply);
    let is_json = reply.header("content-type").is_some_and(|it| it.contains("json"));
    let mut members = BTreeMap::new();
    if let (true, Ok(body)) = (is_json, reply.json()) {
        collect(&body, String::new(), &mut members);
    }
    if reply.status >= 400 {
        members.retain(|path, _| !OF_EVERY_PROBLEM.contains(&path.as_str()));
    }
    facts.extend(members.into_iter().map(|(path, values)| {
        let values: Vec<String> = values.into_iter().collect();
        (format!("member `{path}`"), values.join(" "))
    }));
    facts
}

/// What is seen of a reply whose body depends on who is faster.
pub(crate) fn head(reply: &Reply) -> Facts {
    let mut facts = Facts::from([(ANSWER.to_owned(), answer(reply))]);
    let media_type = reply.header("content-type").unwrap_or("none");
    facts.insert("media type".to_owned(), media_type.to_owned());
    for name in HEADERS {
        let value = reply.header(name).map(|value| match name {
            "cache-control" => value.to_owned(),
            _ => "present".to_owned(),
        });
        facts.extend(value.map(|value| (format!("header `{name}`"), value)));
    }
    let related = RELATIONS.into_iter().filter(|relation| !reply.links(relation).is_empty());
    facts.extend(related.map(|relation| (format!("link `{relation}`"), "present".to_owned())));
    facts
}

fn answer(reply: &Reply) -> String {
    let problem = reply.json().ok().filter(|_| reply.status >= 400);
    let kind = problem.map(|problem| problem["type"].as_str().unwrap_or_default().to_owned());
    let kind = kind.unwrap_or_default();
    let kind = kind.rsplit(':').next().unwrap_or_default();
    format!("{} {kind}", reply.status).trim_end().to_owned()
}

fn collect(value: &Value, path: String, members: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(object) if OPENED.contains(&path.as_str()) => {
            for (name, value) in object {
                let separator = if path.is_empty() { "" } else { "." };
                collect(value, format!("{path}{separator}{name}"), members);
            }
        }
        Value::Array(array) => {
            for value in array {
                collect(value, format!("{path}[]"), members);
            }
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let shown = if COMPARED.contains(&path.as_str()) {
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            } else {
                "present".to_owned()
            };
            members.entry(path).or_default().insert(shown);
        }
    }
}
