//! The schemas and the reference that are checked in are those that `make schemas` writes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use acceptance::{Setup, workspace};
use tempfile::TempDir;

/// Every JSON file below a directory, by its path there.
pub(crate) fn json_files(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let name = path.strip_prefix(root)?.to_owned();
                files.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(files)
}

#[tokio::test]
async fn the_checked_in_schemas_are_those_of_the_code() -> anyhow::Result<()> {
    let fresh = TempDir::new()?;
    let directory = fresh.path().to_string_lossy().into_owned();
    let program = Setup::embedded().prepare("certmill")?;
    program.operate(&["schemas", &directory]).await?.success()?;
    let written = json_files(fresh.path())?;
    let checked_in = json_files(&workspace().join("schemas"))?;
    assert!(written.len() > 30, "only {} files were written", written.len());
    for (name, contents) in &written {
        let same = checked_in.get(name) == Some(contents);
        assert!(same, "{} differs: run make schemas", name.display());
    }
    Ok(())
}

#[tokio::test]
async fn the_checked_in_reference_of_the_configuration_is_that_of_the_code() -> anyhow::Result<()> {
    let program = Setup::embedded().prepare("certmill")?;
    let printed = program.operate(&["reference"]).await?.success()?;
    let checked_in = std::fs::read_to_string(workspace().join("docs/configuration.md"))?;
    assert!(printed == checked_in, "docs/configuration.md differs: run make schemas");
    Ok(())
}
