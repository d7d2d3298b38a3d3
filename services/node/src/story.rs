//! The story of one certificate, told from the log: who ordered it, what was validated how, who signed, what came of it.

mod gather;
mod sentence;

use std::fmt;

use domain::{
    AccountId, ChallengeType, Evidence, Identifier, IssuerId, OrderId, ProfileName, Serial,
    Timestamp, certificate::RevocationReason,
};
use eventstore::{Actor, Sequence, Subject};
use serde::Serialize;
use serde_json::Value;

pub(crate) use gather::gather;

/// What the log says about a certificate.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Story {
    /// The certificate's serial.
    serial: Option<Serial>,
    /// The CA key that signed, or was to sign.
    issuer: Option<IssuerId>,
    /// What became of it.
    outcome: Outcome,
    /// What it certifies; for the server's own certificate nothing.
    identifiers: Vec<Identifier>,
    /// The start of validity, where the reservation is known.
    not_before: Option<Timestamp>,
    /// The end of validity.
    not_after: Option<Timestamp>,
    /// The order it was issued for.
    order: Option<OrderId>,
    /// The profile of the order.
    profile: Option<ProfileName>,
    /// The account that placed the order.
    account: Option<AccountId>,
    /// How that account could be reached when it ordered.
    contact: Vec<String>,
    /// What proved control of each identifier.
    proofs: Vec<Proof>,
    /// When and why it was revoked.
    revoked: Option<Revoked>,
    /// Everything that happened, oldest first.
    history: Vec<Happening>,
    /// What the log does not hold any more.
    gaps: Vec<String>,
}

/// What became of a serial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It was reserved, and nothing was signed yet.
    #[default]
    Reserved,
    /// The certificate was signed.
    Issued,
    /// It was given up after a crash and counts as revoked.
    Burned,
    /// The certificate was signed, and revoked later.
    Revoked,
}

/// How control of one identifier was proven.
#[derive(Debug, Serialize)]
struct Proof {
    identifier: Identifier,
    challenge: ChallengeType,
    at: Timestamp,
    evidence: Evidence,
}

/// When and why a certificate was revoked.
#[derive(Debug, Serialize)]
struct Revoked {
    at: Timestamp,
    by: Actor,
    reason: RevocationReason,
}

/// One event and what it says.
#[derive(Debug, Serialize)]
struct Happening {
    at: Timestamp,
    by: Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    subject: Subject,
    sequence: Sequence,
    /// The event in plain words.
    text: String,
    /// The event as it is stored.
    event: Value,
}

/// The story as people read it.
impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let time = |at: Option<Timestamp>| shown(at.map(|at| at.whole_seconds().to_string()));
        writeln!(f, "Certificate {}", shown(self.serial.as_ref().map(Serial::to_string)))?;
        writeln!(f, "  for      {}", self.names())?;
        writeln!(f, "  status   {}", self.outcome.describe())?;
        writeln!(f, "  valid    {} to {}", time(self.not_before), time(self.not_after))?;
        writeln!(f, "  issuer   {}", shown(self.issuer.as_ref().map(IssuerId::to_string)))?;
        if let (Some(account), Some(order)) = (&self.account, &self.order) {
            let contact = if self.contact.is_empty() {
                "no contact".to_owned()
            } else {
                self.contact.join(", ")
            };
            writeln!(f, "  account  {account} ({contact})")?;
            writeln!(f, "  order    {order}")?;
        }
        writeln!(f)?;
        for happening in &self.history {
            writeln!(f, "{:<24}  {}", happening.at.to_string(), happening.text)?;
        }
        for gap in &self.gaps {
            writeln!(f, "\n{gap}")?;
        }
        Ok(())
    }
}

impl Story {
    fn names(&self) -> String {
        if self.identifiers.is_empty() && self.order.is_none() {
            return "the server itself".to_owned();
        }
        let names: Vec<String> = self.identifiers.iter().map(Identifier::to_string).collect();
        names.join(", ")
    }
}

impl Outcome {
    fn describe(self) -> &'static str {
        match self {
            Self::Reserved => "reserved, not signed",
            Self::Issued => "issued",
            Self::Burned => "given up after a crash, and revoked",
            Self::Revoked => "revoked",
        }
    }
}
