//! The commands that docs/operations.md tells operators to run, taken from it and run as they stand there.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::{Certmill, Output, run, tools, workspace};

const DOCUMENT: &str = "docs/operations.md";

/// What a command of the document refers to: a variable, or a file in front of the PATH.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    variables: Vec<(String, OsString)>,
    programs: Vec<OsString>,
}

/// The blocks of one language below a heading of the document, each as it stands there.
///
/// # Errors
/// When the heading is not there once, or has no such block.
pub fn documented(heading: &str, language: &str) -> anyhow::Result<Vec<String>> {
    let document = std::fs::read_to_string(workspace().join(DOCUMENT))?;
    let sections: Vec<&str> = document.split("\n### ").skip(1).collect();
    let mut found = sections.iter().filter(|section| section.lines().next() == Some(heading));
    let section = found.next().with_context(|| format!("{DOCUMENT} has no section {heading:?}"))?;
    ensure!(found.next().is_none(), "{DOCUMENT} has two sections {heading:?}");
    let section = section.split("\n## ").next().unwrap_or_default();
    let opening = format!("```{language}\n");
    let blocks = section.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next());
    let blocks: Vec<String> = blocks.flatten().map(str::to_owned).collect();
    ensure!(!blocks.is_empty(), "{heading:?} of {DOCUMENT} has no {language}");
    Ok(blocks)
}

impl Surroundings {
    /// Gives a variable a value.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Has programs of a directory found before all others.
    #[must_use]
    pub fn programs_of(mut self, directory: &Path) -> Self {
        self.programs.push(directory.into());
        self
    }
}

impl Certmill {
    /// Runs a documented block in a directory, with the server's configuration and data.
    ///
    /// # Errors
    /// When one of its commands fails.
    pub async fn follow(
        &self,
        block: &str,
        surroundings: &Surroundings,
        directory: &Path,
    ) -> anyhow::Result<String> {
        let program = tools::server_under_test()?;
        let beside = program.parent().context("the server under test is in a directory")?;
        let inherited = tools::search_path()?;
        let inherited = std::env::split_paths(&inherited);
        let own = surroundings.programs.iter().map(Into::into).chain([beside.to_owned()]);
        let mut command = Command::new("sh");
        command.args(["-euc", block]).env("PATH", std::env::join_paths(own.chain(inherited))?);
        let (configuration, settings) = self.settings();
        command.env("CERTMILL_CONFIG", configuration).env("DATA_DIR", self.data_dir());
        for (key, value) in settings {
            let variable = key.to_ascii_uppercase().replace('.', "__");
            command.env(format!("CERTMILL__{variable}"), value);
        }
        command.envs(self.variables());
        command.envs(surroundings.variables.iter().cloned());
        let output: Output = run(command, directory).await?;
        output.success().with_context(|| format!("as documented:\n{block}"))
    }
}
