//! Why a command failed, in the words the operator reads: the causes in one line, then what to do.

use std::{error::Error, fmt, io};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::output::Format;

/// A command that failed. There is one type for all of them: the only thing left to do is to tell the operator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// What failed and why, from the outside in.
    causes: String,
    /// What the operator can do about it.
    advice: Option<String>,
    /// Whether the reader of the output went away, which is no failure: `certmill events | head`.
    #[serde(skip)]
    reader_gone: bool,
}

impl Failure {
    /// A failure that has no error behind it.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { causes: what.into(), advice: None, reader_gone: false }
    }

    /// Standard output takes nothing more.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        let reader_gone = error.kind() == io::ErrorKind::BrokenPipe;
        let causes = format!("cannot write to standard output: {error}");
        Self { causes, advice: None, reader_gone }
    }

    /// Adds what the operator can do.
    #[must_use]
    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Adds what the operator can do, where nothing more precise was said.
    #[must_use]
    pub(crate) fn advise_else(self, advice: &str) -> Self {
        Self { advice: self.advice.or_else(|| Some(advice.to_owned())), ..self }
    }

    /// Says what was being done when it happened.
    #[must_use]
    pub(crate) fn while_doing(self, what: impl fmt::Display) -> Self {
        Self { causes: format!("{what}: {}", self.causes), ..self }
    }

    /// The failure as one line of JSON for programs, or as lines for people.
    pub(crate) fn told(&self, format: Format) -> String {
        match format {
            Format::Text => format!("certmill: {self}"),
            Format::Json => {
                json!({ "level": "ERROR", "message": self.causes, "advice": self.advice })
                    .to_string()
            }
        }
    }

    /// What failed and why, in one line.
    pub(crate) fn causes(&self) -> &str {
        &self.causes
    }

    /// Whether nobody reads the output any more.
    pub(crate) fn is_reader_gone(&self) -> bool {
        self.reader_gone
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.causes)?;
        match &self.advice {
            Some(advice) => write!(f, "\n{advice}"),
            None => Ok(()),
        }
    }
}

/// `Failure` is no error itself, so that every error becomes one.
impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(causes(&error))
    }
}

/// Turns errors into failures that say more.
pub(crate) trait Explain<T> {
    /// Says what was being done.
    fn while_doing(self, what: impl fmt::Display) -> Result<T, Failure>;

    /// Says what the operator can do.
    fn advise(self, advice: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Explain<T> for Result<T, E> {
    fn while_doing(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().while_doing(what))
    }

    fn advise(self, advice: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().advise(advice))
    }
}

/// The error and all behind it; a cause whose text its effect repeats is left out.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use eventstore::StoreError;

    use super::*;

    #[test]
    fn a_failure_names_every_cause_in_one_line_and_then_what_to_do() {
        let error = StoreError::unavailable(io::Error::other("no\nroute"));
        let failure = Failure::from(error).while_doing("cannot list events").advise("start it");
        let expected = "cannot list events: the event log is unavailable: no route\nstart it";
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn a_program_is_told_in_one_line_of_json() {
        let failure = Failure::new("no \"route\"").advise("first\nsecond");
        let line = failure.told(Format::Json);
        assert_eq!(line.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected =
            json!({ "level": "ERROR", "message": "no \"route\"", "advice": "first\nsecond" });
        assert_eq!(read, expected);
        assert_eq!(failure.told(Format::Text), "certmill: no \"route\"\nfirst\nsecond");
    }

    #[test]
    fn a_cause_that_is_told_already_is_not_told_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("the log failed: no route")]
        struct Outer(#[source] io::Error);
        let failure = Failure::from(Outer(io::Error::other("no route")));
        assert_eq!(failure.to_string(), "the log failed: no route");
    }

    #[test]
    fn only_a_broken_pipe_of_the_output_means_that_the_reader_is_gone() {
        let (broken, full) = (io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull);
        assert!(Failure::of_output(&broken.into()).is_reader_gone());
        assert!(!Failure::of_output(&full.into()).is_reader_gone());
        assert!(!Failure::from(io::Error::from(broken)).is_reader_gone());
    }
}
