//! What commands print: text for people, or JSON for programs, on standard output.

use std::{
    fmt,
    future::pending,
    io::{BufWriter, Stdout, Write as _, stdout},
    os::fd::AsFd as _,
};

use serde::Serialize;
use tokio::{io::Interest, net::unix::pipe};

use crate::failure::Failure;

/// What stands between the columns of a table.
const GAP: &str = "  ";

/// Who reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// People.
    Text,
    /// Programs: one JSON value a line.
    Json,
}

/// Standard output.
pub(crate) struct Output {
    format: Format,
    out: BufWriter<Stdout>,
}

impl Output {
    /// Writes for that reader.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, out: BufWriter::new(stdout()) }
    }

    /// Who reads.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(|error| Failure::of_output(&error))
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string(value)?)
    }

    /// Writes a sentence for people or the value it is about for programs.
    pub(crate) fn either(
        &mut self,
        value: &impl Serialize,
        text: impl fmt::Display,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Text => self.line(text),
            Format::Json => self.json(value),
        }
    }

    /// Writes rows below a header, each column as wide as its widest cell.
    pub(crate) fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), Failure> {
        let header = header.map(str::to_owned);
        let all = || std::iter::once(&header).chain(rows);
        let widths: [usize; N] = std::array::from_fn(|column| {
            all().map(|row| row[column].chars().count()).max().unwrap_or_default()
        });
        for row in all() {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            self.line(cells.collect::<Vec<_>>().join(GAP).trim_end())?;
        }
        Ok(())
    }

    /// Waits until nobody reads any more; for ever where that cannot be seen, as with a file.
    pub(crate) async fn reader_gone() {
        let watched = stdout().as_fd().try_clone_to_owned();
        // A pipe without a reader is in error. Nothing is written here, so that it may block.
        if let Ok(Ok(pipe)) = watched.map(pipe::Sender::from_owned_fd_unchecked)
            && pipe.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        pending().await
    }

    /// Hands everything written so far to the reader.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::of_output(&error))
    }
}
