//! Which names a CA certificate lets those below it certify (RFC 5280 §4.2.1.10).

use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, GeneralSubtree, ParsedExtension},
};

use crate::subject_name::SubjectName;

/// What a CA certificate permits and excludes of the kinds of names that leaves have; as a rule, everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameConstraints {
    permitted: Vec<Subtree>,
    excluded: Vec<Subtree>,
}

/// A part of the names of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subtree {
    /// A name and all below it; with a leading dot, only those.
    Dns(String),
    /// Octets of an address, and a mask of as many.
    Ip { address: Vec<u8>, mask: Vec<u8> },
}

impl NameConstraints {
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let extension = certificate.iter_extensions().find_map(|it| match it.parsed_extension() {
            ParsedExtension::NameConstraints(constraints) => Some(constraints),
            _ => None,
        });
        let subtrees = |found: &Option<Vec<GeneralSubtree<'_>>>| {
            let found = found.iter().flatten();
            found.filter_map(|subtree| Subtree::of(&subtree.base)).collect()
        };
        extension.map_or_else(Self::default, |constraints| Self {
            permitted: subtrees(&constraints.permitted_subtrees),
            excluded: subtrees(&constraints.excluded_subtrees),
        })
    }

    /// Whether the name may be certified: what is permitted of one kind of names limits no other.
    pub(crate) fn permit(&self, name: &SubjectName) -> bool {
        let octets = name.octets();
        let holds = |subtree: &&Subtree| subtree.is_about(name) && subtree.holds(&octets);
        let limited = self.permitted.iter().any(|subtree| subtree.is_about(name));
        (!limited || self.permitted.iter().any(|subtree| holds(&subtree)))
            && !self.excluded.iter().any(|subtree| holds(&subtree))
    }
}

impl Subtree {
    fn of(base: &GeneralName<'_>) -> Option<Self> {
        match base {
            GeneralName::DNSName(name) => Some(Self::Dns(name.to_ascii_lowercase())),
            GeneralName::IPAddress(octets) => {
                let (address, mask) = octets.split_at(octets.len() / 2);
                Some(Self::Ip { address: address.to_vec(), mask: mask.to_vec() })
            }
            _ => None,
        }
    }

    fn is_about(&self, name: &SubjectName) -> bool {
        matches!(
            (self, name),
            (Self::Dns(_), SubjectName::Dns(_)) | (Self::Ip { .. }, SubjectName::Ip(_))
        )
    }

    /// Whether the octets of a name of its kind are in it.
    fn holds(&self, octets: &[u8]) -> bool {
        match self {
            Self::Dns(base) => match octets.strip_suffix(base.as_bytes()) {
                Some(before) if base.is_empty() || base.starts_with('.') => !before.is_empty(),
                Some(before) => before.last().is_none_or(|octet| *octet == b'.'),
                None => false,
            },
            Self::Ip { address, mask } => {
                let masked = |octets: &[u8]| -> Vec<u8> {
                    octets.iter().zip(mask).map(|(octet, mask)| octet & mask).collect()
                };
                octets.len() == address.len() && masked(octets) == masked(address)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(base: &str) -> Subtree {
        Subtree::Dns(base.to_owned())
    }

    fn check(constraints: &NameConstraints, permitted: &[&str], refused: &[&str]) {
        let permit = |name: &&str| constraints.permit(&name.parse().unwrap());
        assert!(permitted.iter().all(permit), "{constraints:?}");
        assert!(!refused.iter().any(permit), "{constraints:?}");
    }

    #[test]
    fn a_name_is_permitted_with_all_below_it() {
        let permitted = vec![dns("bank.example"), dns(".sub.example")];
        let constraints = NameConstraints { permitted, excluded: vec![dns("no.bank.example")] };
        check(
            &constraints,
            &["bank.example", "a.bank.example", "a.sub.example", "192.0.2.1"],
            &["example", "abank.example", "sub.example", "no.bank.example", "a.no.bank.example"],
        );
        let nothing = NameConstraints { permitted: vec![], excluded: vec![dns("")] };
        check(&nothing, &["192.0.2.1"], &["a.example"]);
        check(&NameConstraints::default(), &["a.example", "192.0.2.1", "::1"], &[]);
    }

    #[test]
    fn addresses_are_limited_by_network_and_family() {
        let network = |address: &[u8], mask: &[u8]| Subtree::Ip {
            address: address.into(),
            mask: mask.into(),
        };
        let permitted = vec![network(&[10, 0, 0, 0], &[255, 0, 0, 0])];
        let constraints = NameConstraints { permitted, excluded: vec![] };
        check(&constraints, &["10.1.2.3", "a.example"], &["192.0.2.1", "2001:db8::1"]);
        let all = NameConstraints { permitted: vec![], excluded: vec![network(&[0; 4], &[0; 4])] };
        check(&all, &["2001:db8::1"], &["192.0.2.1"]);
    }
}
