//! What of an answer is about the name that was asked for.

use hickory_resolver::proto::rr::{Name, RData, Record};

use crate::observed::Observed;

/// How many CNAMEs are followed within one answer.
const MAX_ALIASES: usize = 32;

/// Records of a name and of what it is an alias for, and whether they were checked against a trust anchor.
pub(super) struct Answer {
    pub(super) records: Vec<Record>,
    validated: bool,
}

impl Answer {
    /// Takes the records of a name out of those that came.
    ///
    /// Whoever can change an answer on its way can add records of another name to it, and those of an unsigned zone pass
    /// DNSSEC validation beside the signed ones.
    pub(super) fn of(name: Name, came: &[Record], validated: bool) -> Self {
        let names = with_aliases(name, came);
        let records = came.iter().filter(|record| names.contains(&record.name)).cloned().collect();
        Self { records, validated }
    }

    /// Notes the records, and what DNSSEC says about them.
    pub(super) fn observe(&self, observed: &mut Observed) {
        observed.records(&self.records);
        if self.validated {
            observed.proofs(self.records.iter().map(|record| record.proof));
        }
    }

    /// What DNSSEC says about all of them, if it was asked.
    pub(super) fn dnssec(&self) -> Option<&'static str> {
        let secure = || self.records.iter().all(|record| record.proof.is_secure());
        self.validated.then(|| if secure() { "secure" } else { "insecure" })
    }
}

/// A name and those that its CNAMEs lead to, in whatever order they came.
pub(super) fn with_aliases(name: Name, came: &[Record]) -> Vec<Name> {
    let mut names = vec![name];
    while names.len() <= MAX_ALIASES {
        let next = came.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if names.last() == Some(&record.name) => Some(target.0.clone()),
            _ => None,
        });
        match next {
            Some(next) if !names.contains(&next) => names.push(next),
            Some(_) | None => break,
        }
    }
    names
}
