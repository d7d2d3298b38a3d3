//! Reading the tables of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use acceptance::workspace;
use anyhow::Context as _;

/// Rows by the name in their first column, with the names in their last.
pub(crate) type Table = BTreeMap<String, BTreeSet<String>>;

/// The table below a heading: the names in backticks in its first column, and those in its last.
pub(crate) fn below(heading: &str) -> anyhow::Result<Table> {
    let text = std::fs::read_to_string(workspace().join("ARCHITECTURE.md"))?;
    let (_, section) = text
        .split_once(&format!("\n{heading}\n"))
        .with_context(|| format!("ARCHITECTURE.md has no {heading:?}"))?;
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let (first, last) = (cells.first()?, cells.last()?);
        Some((names(first).into_iter().next()?, names(last)))
    };
    let table: Table = rows.filter_map(row).collect();
    anyhow::ensure!(!table.is_empty(), "there is no table below {heading:?}");
    Ok(table)
}

fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
