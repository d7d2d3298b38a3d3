//! Whether replies are those that `schemas/openapi/acme.json` describes: every one that a [`crate::RawClient`] gets is looked at.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{Reply, workspace};

/// Headers that a client acts on: each that a reply has is described. A Link to the directory is on nearly all of them.
const ACTED_ON: [&str; 4] = ["allow", "location", "replay-nonce", "retry-after"];

static DOCUMENT: LazyLock<anyhow::Result<Document>> = LazyLock::new(Document::read);

/// The document, and the schemas that were needed so far.
struct Document {
    json: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Looks at a reply.
///
/// # Errors
/// When the document says something else.
pub(crate) fn check(method: &Method, url: &str, reply: &Reply) -> anyhow::Result<()> {
    let document = DOCUMENT.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    let described = document.check(method, url, reply);
    described.with_context(|| {
        let Reply { status, headers, .. } = reply;
        format!("not as described: {method} {url}: {status} {headers:?} {}", reply.text())
    })
}

/// The document as it is checked in.
///
/// # Errors
/// When it cannot be read.
pub fn openapi() -> anyhow::Result<Value> {
    let path = workspace().join("schemas/openapi/acme.json");
    let text = std::fs::read_to_string(&path);
    Ok(serde_json::from_str(&text.with_context(|| path.display().to_string())?)?)
}

impl Document {
    fn read() -> anyhow::Result<Self> {
        Ok(Self { json: openapi()?, validators: Mutex::default() })
    }

    fn check(&self, method: &Method, url: &str, reply: &Reply) -> anyhow::Result<()> {
        if *method == Method::OPTIONS {
            return Ok(());
        }
        let response = match self.operation(method, url) {
            Some(operation) => self.response(operation, reply.status)?,
            // Some tests look at Pebble with the same client.
            None if !is_ours(url) => return Ok(()),
            None => {
                ensure!(matches!(reply.status, 400..=499), "there is no such operation");
                &self.json["components"]["responses"]["Problem"]
            }
        };
        self.check_headers(&response["headers"], reply)?;
        if *method == Method::HEAD {
            return Ok(());
        }
        match response["content"].as_object() {
            None => ensure!(reply.body.is_empty(), "there is a body"),
            Some(content) => {
                let media_type =
                    reply.header("content-type").context("there is no Content-Type")?;
                let described =
                    content.get(media_type).context("this Content-Type is not there")?;
                if let Some(schema) = described["schema"]["$ref"].as_str() {
                    self.validate(schema, &reply.json()?)?;
                }
            }
        }
        Ok(())
    }

    fn check_headers(&self, described: &Value, reply: &Reply) -> anyhow::Result<()> {
        let described: Vec<_> = described.as_object().into_iter().flatten().collect();
        for (name, header) in &described {
            let required = self.resolve(header)["required"] == true;
            ensure!(!required || reply.header(name).is_some(), "there is no {name}");
        }
        let is_described =
            |name: &str| described.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
        let acted_on = ACTED_ON.iter().filter(|name| reply.header(name).is_some());
        let others = (reply.headers.get_all("link").iter())
            .any(|link| !link.as_bytes().ends_with(b"rel=\"index\""));
        for name in acted_on.chain(others.then_some(&"link")) {
            ensure!(is_described(name), "{name} is not described");
        }
        Ok(())
    }

    /// The operation of a method on the path of a URL. What GET does, HEAD does.
    fn operation(&self, method: &Method, url: &str) -> Option<&Value> {
        let path = url.splitn(4, '/').nth(3)?.split(['?', '#']).next()?;
        let paths = self.json["paths"].as_object()?;
        // A name that stands in the template goes before a parameter, as `/acme/directory` before profiles.
        let mut matching: Vec<_> = paths.iter().filter(|(it, _)| matches(it, path)).collect();
        matching.sort_by_key(|(template, _)| template.matches('{').count());
        let (_, item) = matching.first()?;
        let own = item.get(method.as_str().to_ascii_lowercase());
        own.or_else(|| item.get("get").filter(|_| *method == Method::HEAD))
    }

    fn response<'a>(&'a self, operation: &'a Value, status: u16) -> anyhow::Result<&'a Value> {
        let responses = &operation["responses"];
        let range = format!("{}XX", status / 100);
        match responses.get(status.to_string()).or_else(|| responses.get(range)) {
            Some(response) => Ok(self.resolve(response)),
            None => bail!("this status is not there"),
        }
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let place = value["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        place.and_then(|it| self.json.pointer(it)).unwrap_or(value)
    }

    fn validate(&self, schema: &str, body: &Value) -> anyhow::Result<()> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let validator = match validators.get(schema) {
            Some(known) => Arc::clone(known),
            None => {
                let root = json!({ "$ref": schema, "components": self.json["components"] });
                let new = Arc::new(jsonschema::validator_for(&root)?);
                validators.insert(schema.to_owned(), Arc::clone(&new));
                new
            }
        };
        drop(validators);
        let errors: Vec<String> = validator.iter_errors(body).map(|it| it.to_string()).collect();
        ensure!(errors.is_empty(), "{schema}: {errors:?}");
        Ok(())
    }
}

/// Whether a URL is below those of a Certmill.
fn is_ours(url: &str) -> bool {
    url.splitn(4, '/').nth(3).is_some_and(|path| path.starts_with("acme/"))
}

/// Whether a path, without its leading slash, has the segments of a template.
fn matches(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let fits = template.trim_start_matches('/').split('/').all(|wanted| {
        let Some(segment) = segments.next() else { return false };
        match wanted.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((_, ending)) => segment.ends_with(ending) && segment.len() > ending.len(),
            None => segment == wanted,
        }
    });
    fits && segments.next().is_none()
}
