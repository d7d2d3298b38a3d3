//! Documents that rot give the wrong map: what they name is there.

use std::{path::Path, process::Command};

use acceptance::workspace;

/// The documents that name files.
const DOCUMENTS: [&str; 7] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/decisions.md",
    "docs/open-points.md",
    "docs/operations.md",
    "docs/rfc-conformance.md",
];
/// What makes a text in backticks a path of this repository.
const TOP_LEVEL: [&str; 8] =
    [".ci/", "config/", "docs/", "libs/", "schemas/", "scripts/", "services/", "tests/"];

/// The texts in backticks, outside of code blocks.
fn code_spans(document: &str) -> Vec<String> {
    let outside: Vec<&str> = document.split("```").step_by(2).collect();
    let spans = outside.iter().flat_map(|text| text.split('`').skip(1).step_by(2));
    spans.map(str::to_owned).collect()
}

/// Whether a path is there; `{a,b}` stands for each of its parts.
fn exists(root: &Path, path: &str) -> bool {
    match path.split_once('{').and_then(|(start, rest)| Some((start, rest.split_once('}')?))) {
        None => root.join(path).exists(),
        Some((start, (parts, end))) => {
            parts.split(',').all(|part| exists(root, &format!("{start}{part}{end}")))
        }
    }
}

#[test]
fn every_path_named_in_a_document_is_there() -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(workspace().join(document))?;
        let paths = code_spans(&text);
        // A command line begins with the path of its program.
        let paths = paths.iter().filter_map(|span| span.split(' ').next());
        let paths = paths.filter(|path| TOP_LEVEL.iter().any(|top| path.starts_with(top)));
        let gone = paths.filter(|path| !exists(workspace(), path));
        missing.extend(gone.map(|path| format!("{document}: {path}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

#[test]
fn every_link_between_documents_leads_somewhere() -> anyhow::Result<()> {
    for document in DOCUMENTS {
        let file = workspace().join(document);
        let text = std::fs::read_to_string(&file)?;
        let directory = file.parent().unwrap_or(workspace());
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let path = target.split('#').next().unwrap_or_default();
            assert!(path.is_empty() || directory.join(path).exists(), "{document}: {target}");
        }
    }
    Ok(())
}

#[test]
fn the_commands_of_the_documents_are_targets_of_the_makefile() -> anyhow::Result<()> {
    let makefile = std::fs::read_to_string(workspace().join("Makefile"))?;
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(workspace().join(document))?;
        for span in code_spans(&text) {
            let Some(target) = span.strip_prefix("make ") else { continue };
            let target = target.split(' ').next().unwrap_or_default();
            assert!(makefile.contains(&format!("\n{target}:")), "{document}: make {target}");
        }
    }
    Ok(())
}

#[test]
fn binaries_are_where_the_documents_say_wherever_cargo_would_put_them() -> anyhow::Result<()> {
    let mut make = Command::new("make");
    make.args(["--dry-run", "run", "demo", "bench", "image"]).current_dir(workspace());
    let output = make.env("CARGO_TARGET_DIR", "/elsewhere").output()?;
    let commands = String::from_utf8(output.stdout)?;
    let builds: Vec<&str> = commands.lines().filter(|line| line.contains("--release")).collect();
    assert!(!builds.is_empty() && commands.contains("target/release/certmill"), "{commands}");
    assert!(builds.iter().all(|build| build.contains("--target-dir target")), "{builds:#?}");
    Ok(())
}
