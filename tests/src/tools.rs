//! Where the programs are that the tests run.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// Set by `make nightly`: rounds that take long are run in full.
const NIGHTLY: &str = "CERTMILL_NIGHTLY";

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// Whether the long rounds are asked for.
pub fn is_nightly() -> bool {
    std::env::var_os(NIGHTLY).is_some_and(|value| value == "1")
}

/// The path of a program that the tests need.
///
/// # Errors
/// When it is not installed, with what to do about it.
pub fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let path = search_path()?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is not installed; scripts/test-tools installs it"))
}

/// The path of a Python program that scripts/test-tools installed, although the system may have an older one.
///
/// # Errors
/// When it is not installed, with what to do about it.
pub fn python_tool(name: &str) -> anyhow::Result<PathBuf> {
    let installed = workspace().join("target/tools/venv/bin").join(name);
    if installed.is_file() { Ok(installed) } else { tool(name) }
}

/// The Python that sees the Python tools.
///
/// # Errors
/// When it is not installed, with what to do about it.
pub fn python() -> anyhow::Result<PathBuf> {
    let python = workspace().join("target/tools/venv/bin/python");
    if !python.is_file() {
        bail!("{} is not there; scripts/test-tools makes it", python.display());
    }
    Ok(python)
}

/// The PATH that the tests' programs see, in the order of scripts/tools-env.
pub(crate) fn search_path() -> anyhow::Result<OsString> {
    let tools = workspace().join("target/tools");
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = [tools.join("root/usr/bin"), tools.join("root/usr/sbin")];
    let all = unpacked
        .into_iter()
        .chain(std::env::split_paths(&inherited))
        .chain([PathBuf::from("/usr/sbin"), tools.join("venv/bin")]);
    Ok(std::env::join_paths(all)?)
}

/// The server under test, built with the same profile as this test and beside it.
///
/// # Errors
/// When it is not built.
pub fn server_under_test() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let built = test.parent().and_then(Path::parent).context("the test runs outside of target")?;
    let binary = built.join("certmill");
    if !binary.is_file() {
        bail!("the server under test is not built: run cargo build -p certmill");
    }
    Ok(binary)
}
