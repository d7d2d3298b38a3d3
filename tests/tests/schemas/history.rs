//! Events of every version that was ever written are readable, and their schemas never change.

use std::{collections::BTreeMap, path::PathBuf};

use acceptance::workspace;
use anyhow::Context as _;
use domain::{DomainEvent, account, certificate, external_key, order, pre_authorization};
use eventstore::StoredEvent;
use ring::digest;
use serde_json::Value;

use crate::drift::json_files;

fn events() -> PathBuf {
    workspace().join("schemas/events")
}

/// The examples by type and version, such as `OrderPlaced.v1`.
fn examples() -> anyhow::Result<BTreeMap<String, String>> {
    let files = json_files(&events().join("examples"))?;
    let name = |path: PathBuf| path.with_extension("").to_string_lossy().into_owned();
    let examples: BTreeMap<_, _> =
        files.into_iter().map(|(path, text)| (name(path), text)).collect();
    assert!(!examples.is_empty(), "there are no examples");
    Ok(examples)
}

/// Reads an event as the aggregate does that owns its type.
fn decode(stored: &StoredEvent) -> anyhow::Result<()> {
    fn owned<E: DomainEvent>(stored: &StoredEvent, kind: &str) -> Option<anyhow::Result<()>> {
        let owns = E::TYPES.iter().any(|(name, _)| *name == kind);
        owns.then(|| Ok(stored.decode::<E>().map(drop)?))
    }
    let (kind, _) = stored.kind()?;
    owned::<account::Event>(stored, &kind)
        .or_else(|| owned::<external_key::Event>(stored, &kind))
        .or_else(|| owned::<order::Event>(stored, &kind))
        .or_else(|| owned::<pre_authorization::Event>(stored, &kind))
        .or_else(|| owned::<pre_authorization::ListingEvent>(stored, &kind))
        .or_else(|| owned::<certificate::LedgerEvent>(stored, &kind))
        .or_else(|| owned::<certificate::RevocationEvent>(stored, &kind))
        .or_else(|| owned::<certificate::CrlDivisionEvent>(stored, &kind))
        .or_else(|| owned::<certificate::BlockedKeyEvent>(stored, &kind))
        .or_else(|| owned::<certificate::ActiveCertificateEvent>(stored, &kind))
        .with_context(|| format!("nobody reads {kind} any more"))?
}

#[test]
fn an_event_of_every_version_is_read_by_the_code_of_today() -> anyhow::Result<()> {
    for (name, example) in examples()? {
        let stored: StoredEvent = serde_json::from_str(&example)?;
        let (kind, version) = stored.kind()?;
        assert_eq!(name, format!("{kind}.v{version}"));
        decode(&stored).with_context(|| name)?;
    }
    Ok(())
}

#[test]
fn an_event_of_every_version_satisfies_its_schema() -> anyhow::Result<()> {
    for (name, example) in examples()? {
        let file = events().join(format!("{name}.schema.json"));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
        let schema = jsonschema::validator_for(&schema)?;
        let example: Value = serde_json::from_str(&example)?;
        let errors: Vec<String> = schema.iter_errors(&example).map(|it| it.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    Ok(())
}

#[test]
fn every_version_has_an_example() -> anyhow::Result<()> {
    let schemas = json_files(&events())?;
    let examples = examples()?;
    for schema in schemas.keys().filter_map(|path| path.to_str()) {
        let Some(name) = schema.strip_suffix(".schema.json") else { continue };
        assert!(examples.contains_key(name), "{name} has no example");
    }
    Ok(())
}

/// The manifest is what `sha256sum` prints; a file is added to it with the version it describes and then stays.
#[test]
fn what_was_published_never_changes() -> anyhow::Result<()> {
    let manifest = std::fs::read_to_string(events().join("FROZEN"))?;
    let frozen: BTreeMap<&str, &str> = manifest
        .lines()
        .map(|line| line.split_once("  ").map(|(hash, name)| (name, hash)))
        .collect::<Option<_>>()
        .context("a line of FROZEN is not a hash and a name")?;
    let files = json_files(&events())?;
    for (name, hash) in &frozen {
        let file = events().join(name);
        let contents = std::fs::read(&file).with_context(|| format!("{name} is gone"))?;
        assert_eq!(sha256(&contents), *hash, "{name} was changed; add a version instead");
    }
    for name in files.keys().filter_map(|path| path.to_str()) {
        assert!(frozen.contains_key(name), "{name} is not in FROZEN; sha256sum makes its line");
    }
    Ok(())
}

fn sha256(contents: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, contents);
    hash.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}
