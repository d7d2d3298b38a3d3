//! Tables that can be read as they are and are Markdown, too.

use std::fmt::Write as _;

/// A table; the first column is text, the others are figures.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with nothing below its head.
    pub(super) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The text, with columns aligned.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string cannot fail.
                let _ = match column {
                    0 => write!(text, "| {cell:<width$} "),
                    _ => write!(text, "| {cell:>width$} "),
                };
            }
            text.push_str("|\n");
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let (dashes, end) =
                        if column == 0 { (width + 2, "") } else { (width + 1, ":") };
                    let _ = write!(text, "|{}{end}", "-".repeat(dashes));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_on_the_left_and_figures_are_on_the_right() {
        let mut table = Table::new(&["server", "rate"]);
        table.push(vec!["Pebble".to_owned(), "7".to_owned()]);
        table.push(vec!["certmill".to_owned(), "12345".to_owned()]);
        let expected = "\
| server   |  rate |
|----------|------:|
| Pebble   |     7 |
| certmill | 12345 |
";
        assert_eq!(table.render(), expected);
    }
}
