//! `certmill schemas`: writes the interface documents that are checked in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    event_schemas,
    failure::{Explain as _, Failure},
    output::Output,
};

/// Writes every file whose contents differ; others in the directory stay as they are.
pub(crate) fn write(dir: &Path, out: &mut Output) -> Result<(), Failure> {
    for (name, document) in documents()? {
        let path = dir.join(name);
        let contents = serde_json::to_string_pretty(&document)? + "\n";
        if fs::read_to_string(&path).is_ok_and(|present| present == contents) {
            continue;
        }
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, &contents))
            .while_doing(format_args!("cannot write {}", path.display()))?;
        out.either(&path, format_args!("wrote {}", path.display()))?;
    }
    Ok(())
}

/// Every document, and where it is below the directory.
fn documents() -> Result<Vec<(PathBuf, Value)>, Failure> {
    let mut documents = vec![
        ("config/certmill.schema.json".into(), runtime::config_schema()),
        ("openapi/acme.json".into(), api::openapi()),
    ];
    for event in event_schemas::events()? {
        let name = event.name();
        documents.push((format!("events/{name}.schema.json").into(), event.schema));
        documents.push((format!("events/examples/{name}.json").into(), event.example));
    }
    Ok(documents)
}
