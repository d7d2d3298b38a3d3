//! One line of the audit, and its forms.

use std::io;

use domain::{AccountId, IssuerId, OrderId, ProfileName, Serial, Timestamp};
use serde::Serialize;

use crate::cli::{Outcome, Wanted};

/// What happened to a certificate or an order.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<IssuerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<ProfileName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) order: Option<OrderId>,
    /// What is certified or was to be, in lower case.
    pub(super) names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_after: Option<Timestamp>,
    /// Why it was revoked, or what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Whose doing it was.
    pub(super) by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
}

/// The columns of the CSV form.
pub(super) const HEADER: [&str; 12] = [
    "at",
    "outcome",
    "serial",
    "issuer",
    "profile",
    "account",
    "order",
    "names",
    "not_after",
    "reason",
    "by",
    "request_id",
];

impl Record {
    /// Whether somebody asked for this line.
    pub(super) fn is_wanted(&self, wanted: &Wanted) -> bool {
        self.is_of_wanted_kind(wanted)
            && (wanted.account.is_none() || wanted.account == self.account)
            && (wanted.profile.is_none() || wanted.profile == self.profile)
            && wanted.name.as_ref().is_none_or(|name| self.has(name))
    }

    /// Whether somebody asked for such a line of that time, whatever it is about.
    pub(super) fn is_of_wanted_kind(&self, wanted: &Wanted) -> bool {
        wanted.since.is_none_or(|since| self.at >= since)
            && wanted.until.is_none_or(|until| self.at < until)
            && (wanted.outcomes.is_empty() || wanted.outcomes.contains(&self.outcome))
    }

    fn has(&self, wanted: &str) -> bool {
        let is =
            |name: &String| name == wanted || wanted.starts_with('.') && name.ends_with(wanted);
        self.names.iter().any(is)
    }

    /// The cells of the CSV form, in the order of [`HEADER`].
    pub(super) fn cells(&self) -> [String; HEADER.len()] {
        fn text(value: Option<&impl ToString>) -> String {
            value.map(ToString::to_string).unwrap_or_default()
        }
        let outcome = match self.outcome {
            Outcome::Issued => "issued",
            Outcome::Revoked => "revoked",
            Outcome::Failed => "failed",
        };
        [
            self.at.to_string(),
            outcome.to_owned(),
            text(self.serial.as_ref()),
            text(self.issuer.as_ref()),
            text(self.profile.as_ref()),
            text(self.account.as_ref()),
            text(self.order.as_ref()),
            self.names.join(" "),
            text(self.not_after.as_ref()),
            text(self.reason.as_ref()),
            self.by.clone(),
            text(self.request_id.as_ref()),
        ]
    }
}

/// A line of CSV (RFC 4180) without its end. A cell that a spreadsheet would take for a formula begins with `'`.
pub(super) fn csv_line<'a>(cells: impl IntoIterator<Item = &'a str>) -> io::Result<String> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for cell in cells {
        match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            true => writer.write_field(format!("'{cell}")),
            false => writer.write_field(cell),
        }
        .map_err(io::Error::from)?;
    }
    writer.write_record(None::<&[u8]>).map_err(io::Error::from)?;
    let line = writer.into_inner().map_err(io::Error::other)?;
    Ok(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_is_never_a_formula() {
        let cells = ["plain", "with, comma", "with \"quote\"", "=1+1", "-AbC", "@x", ""];
        let line = "plain,\"with, comma\",\"with \"\"quote\"\"\",'=1+1,'-AbC,'@x,";
        assert_eq!(csv_line(cells).unwrap(), line);
    }
}
