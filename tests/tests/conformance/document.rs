//! Reading docs/rfc-conformance.md.

use acceptance::workspace;
use anyhow::Context as _;

const DOCUMENT: &str = "docs/rfc-conformance.md";

/// The document.
pub(crate) fn text() -> anyhow::Result<String> {
    std::fs::read_to_string(workspace().join(DOCUMENT)).context(DOCUMENT)
}

/// The rows of the tables below a heading, without their heads: each is its cells, without backticks around a whole one.
pub(crate) fn table_below(heading: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let text = text()?;
    let (_, section) = text
        .split_once(&format!("\n{heading}\n"))
        .with_context(|| format!("{DOCUMENT} has no {heading:?}"))?;
    let level = heading.split(' ').next().unwrap_or_default();
    let section = section.split(&format!("\n{level} ")).next().unwrap_or_default();
    let lines: Vec<&str> = section.lines().collect();
    let is_head = |number: usize| lines.get(number + 1).is_some_and(|next| next.starts_with("|--"));
    let rows = lines.iter().enumerate().filter(|(number, line)| {
        line.starts_with('|') && !line.starts_with("|--") && !is_head(*number)
    });
    let cells = |line: &str| {
        let line = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        let cells = line.unwrap_or_default().split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    Ok(rows.map(|(_, line)| cells(line)).collect())
}
