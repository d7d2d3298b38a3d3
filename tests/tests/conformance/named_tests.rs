//! Whatever docs/rfc-conformance.md says is shown by a test that is there.

use std::collections::{BTreeMap, BTreeSet};

use acceptance::workspace;

use crate::document;

/// The rows of the checklist of RFC 8555: what a server owes, by section.
const CHECKLIST: [u8; 39] = [
    1, 2, 3, 4, 5, 6, 7, 20, 21, 22, 23, 24, 25, 30, 31, 40, 41, 42, 43, 50, 51, 52, 53, 54, 55,
    56, 57, 60, 61, 62, 63, 64, 65, 66, 67, 70, 71, 72, 73,
];
/// What the state of a row begins with that needs no test.
const LEFT_OUT: &str = "left out";

/// The names of all tests in the workspace.
fn tests() -> anyhow::Result<BTreeSet<String>> {
    let mut tests = BTreeSet::new();
    let mut open: Vec<_> = ["libs", "services", "tests"].map(|top| workspace().join(top)).into();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                tests.extend(tests_of(&std::fs::read_to_string(path)?));
            }
        }
    }
    assert!(tests.len() > 500, "only {} tests found", tests.len());
    Ok(tests)
}

/// The functions whose attributes say that they are tests.
fn tests_of(source: &str) -> Vec<String> {
    let parts = source.split("#[test]").skip(1).chain(source.split("#[tokio::test").skip(1));
    let name = |part: &str| {
        let (_, declared) = part.split_once("fn ")?;
        let end = declared.find(|c: char| c != '_' && !c.is_ascii_alphanumeric())?;
        declared.get(..end).map(str::to_owned)
    };
    parts.filter_map(name).collect()
}

/// A row of the document: which part of which text, the row of the checklist, how it is met, and what shows it.
struct Row {
    part: String,
    checklist: Option<u8>,
    state: String,
    tests: Vec<String>,
}

fn rows() -> anyhow::Result<Vec<Row>> {
    let text = document::text()?;
    let headings = text.lines().filter(|line| line.starts_with("## RFC "));
    let mut rows = Vec::new();
    for heading in headings {
        for cells in document::table_below(heading)? {
            let [section, checklist, _, state, shown] = &cells[..] else {
                anyhow::bail!("{heading}: not a row of five cells: {cells:?}");
            };
            let tests = shown.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            rows.push(Row {
                part: format!("{heading} {section}"),
                checklist: checklist.strip_prefix('R').and_then(|number| number.parse().ok()),
                state: state.clone(),
                tests,
            });
        }
    }
    Ok(rows)
}

#[test]
fn every_test_that_the_document_names_is_there() -> anyhow::Result<()> {
    let tests = tests()?;
    let rows = rows()?;
    let named = rows.iter().flat_map(|row| row.tests.iter().map(move |test| (&row.part, test)));
    let gone: Vec<_> = named.filter(|(_, test)| !tests.contains(*test)).collect();
    assert!(gone.is_empty(), "{gone:#?}");
    Ok(())
}

#[test]
fn whatever_is_done_is_shown_by_a_test() -> anyhow::Result<()> {
    for row in rows()? {
        let needs_test = !row.state.starts_with(LEFT_OUT);
        assert!(!needs_test || !row.tests.is_empty(), "{} is shown by no test", row.part);
    }
    Ok(())
}

#[test]
fn every_row_of_the_checklist_is_shown_by_a_test() -> anyhow::Result<()> {
    let mut shown: BTreeMap<u8, usize> = BTreeMap::new();
    for row in rows()? {
        if let Some(number) = row.checklist {
            *shown.entry(number).or_default() += row.tests.len();
        }
    }
    shown.retain(|_, tests| *tests > 0);
    let shown: Vec<u8> = shown.into_keys().collect();
    assert_eq!(shown, CHECKLIST);
    Ok(())
}

#[test]
fn tests_are_found_by_their_attributes() {
    let source = "#[test]\nfn one() {}\n#[tokio::test]\nasync fn two()\nfn three() {}";
    assert_eq!(tests_of(source), ["one", "two"]);
}
