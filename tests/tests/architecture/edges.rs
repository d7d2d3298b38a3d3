//! The dependency rule: a crate exists because its allowed dependencies differ.

use std::collections::{BTreeMap, BTreeSet};

use acceptance::workspace;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::table;

/// Crates that are tests: what they link is not shipped.
const TESTS: [&str; 2] = ["acceptance", "load"];
/// What nothing else may name: they are chosen by the binary.
const ADAPTERS: [&str; 3] = ["embedded", "jetstream", "redis-store"];
const BINARY: &str = "certmill";

fn metadata() -> anyhow::Result<Metadata> {
    let manifest = workspace().join("Cargo.toml");
    Ok(MetadataCommand::new().manifest_path(manifest).no_deps().exec()?)
}

/// What each shipped crate of ours names, development dependencies left out.
fn dependencies() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = metadata()?;
    let shipped = metadata.packages.iter().filter(|it| !TESTS.contains(&it.name.as_str()));
    let named = |package: &Package| {
        let named = package.dependencies.iter();
        let named = named.filter(|it| it.kind != DependencyKind::Development);
        named.map(|it| it.name.clone()).collect()
    };
    Ok(shipped.map(|package| (package.name.to_string(), named(package))).collect())
}

/// The same, with crates of ours only.
fn edges() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut edges = dependencies()?;
    let ours: BTreeSet<String> = edges.keys().cloned().collect();
    edges.values_mut().for_each(|named| named.retain(|name| ours.contains(name)));
    Ok(edges)
}

/// All crates of ours that end up in the crate's binary.
fn linked(edges: &BTreeMap<String, BTreeSet<String>>, name: &str) -> BTreeSet<String> {
    let mut linked = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(next) = open.pop() {
        for dependency in edges.get(&next).into_iter().flatten() {
            if linked.insert(dependency.clone()) {
                open.push(dependency.clone());
            }
        }
    }
    linked
}

#[test]
fn the_edges_between_our_crates_are_those_of_the_table() -> anyhow::Result<()> {
    assert_eq!(edges()?, table::below("### Allowed edges")?);
    Ok(())
}

#[test]
fn a_library_with_a_purpose_is_named_only_where_the_table_says() -> anyhow::Result<()> {
    let dependencies = dependencies()?;
    for (library, allowed) in table::below("### Where a library may be named")? {
        let naming = dependencies.iter().filter(|(_, named)| named.contains(&library));
        let naming: BTreeSet<String> = naming.map(|(name, _)| name.clone()).collect();
        assert_eq!(naming, allowed, "who names {library}");
    }
    Ok(())
}

#[test]
fn the_api_cannot_link_the_code_that_touches_ca_keys() -> anyhow::Result<()> {
    let edges = edges()?;
    let with_keys: Vec<&String> =
        edges.keys().filter(|name| linked(&edges, name).contains("ca")).collect();
    assert_eq!(with_keys, [BINARY, "signer"]);
    Ok(())
}

#[test]
fn only_the_validator_links_the_code_that_contacts_applicants() -> anyhow::Result<()> {
    let edges = edges()?;
    let contacting: Vec<&String> =
        edges.keys().filter(|name| linked(&edges, name).contains("validation")).collect();
    assert_eq!(contacting, [BINARY, "validator"]);
    Ok(())
}

#[test]
fn adapters_are_named_only_by_the_binary() -> anyhow::Result<()> {
    for (name, named) in edges()? {
        let adapters: Vec<&str> =
            ADAPTERS.into_iter().filter(|adapter| named.contains(*adapter)).collect();
        assert!(name == BINARY || adapters.is_empty(), "{name} names {adapters:?}");
    }
    Ok(())
}

#[test]
fn the_rules_know_nothing_of_io_clocks_and_randomness() -> anyhow::Result<()> {
    let dependencies = dependencies()?;
    let domain: Vec<&str> = dependencies["domain"].iter().map(String::as_str).collect();
    assert_eq!(domain, ["idna", "ipnet", "regex", "schemars", "serde", "thiserror", "time"]);
    Ok(())
}
