//! Contact URLs of accounts (RFC 8555 §7.3): `mailto:` with one address and no header fields.

use domain::DnsName;

/// The most contacts of one account.
pub const MAX_CONTACTS: usize = 10;
/// The longest contact: an address of RFC 5321 §4.5.3.1 behind `mailto:`.
pub const MAX_CONTACT_BYTES: usize = 7 + 254;

const MAX_LOCAL_PART_BYTES: usize = 64;

/// Why contacts are not accepted; its text may be shown to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadContact {
    /// Another scheme: answered as `unsupportedContact`.
    #[error("contacts must be mailto URLs")]
    Unsupported,
    /// No usable address: answered as `invalidContact`.
    #[error("a contact must be mailto with one address and no header fields")]
    Invalid,
    /// More than [`MAX_CONTACTS`]: answered as `invalidContact`.
    #[error("too many contacts")]
    TooMany,
}

/// Checks contacts before they are stored as they are.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn check_contacts(contacts: &[String]) -> Result<(), BadContact> {
    if contacts.len() > MAX_CONTACTS {
        return Err(BadContact::TooMany);
    }
    contacts.iter().try_for_each(|contact| check_contact(contact))
}

fn check_contact(contact: &str) -> Result<(), BadContact> {
    let (scheme, address) = contact.split_once(':').ok_or(BadContact::Unsupported)?;
    if !scheme.eq_ignore_ascii_case("mailto") {
        return Err(BadContact::Unsupported);
    }
    // getssl writes a space there.
    let address = address.strip_prefix(' ').unwrap_or(address);
    let (local, domain) = address.split_once('@').ok_or(BadContact::Invalid)?;
    let good = contact.len() <= MAX_CONTACT_BYTES
        && is_dot_atom(local)
        && domain.parse::<DnsName>().is_ok_and(|name| !name.is_wildcard());
    if good { Ok(()) } else { Err(BadContact::Invalid) }
}

/// RFC 5322 §3.2.3, without what a URL holds in an encoded form only (RFC 6068 §2), and without such forms.
fn is_dot_atom(local: &str) -> bool {
    let atom = |atom: &str| {
        let special = |octet| b"!$&'*+-=_~".contains(&octet);
        !atom.is_empty() && atom.bytes().all(|o| o.is_ascii_alphanumeric() || special(o))
    };
    local.len() <= MAX_LOCAL_PART_BYTES && local.split('.').all(atom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(contact: &str, expected: Result<(), BadContact>) {
        assert_eq!(check_contacts(&[contact.to_owned()]), expected, "{contact}");
    }

    #[test]
    fn one_mail_address_is_a_contact() {
        check("mailto:admin@example.org", Ok(()));
        check("MAILTO:first.last+tag@sub.example.org", Ok(()));
        check("mailto:o'neil_!$&*-=~@example.org", Ok(()));
        check("mailto: admin@example.org", Ok(()));
        assert_eq!(check_contacts(&[]), Ok(()));
    }

    #[test]
    fn other_schemes_are_unsupported() {
        for contact in ["tel:+123", "https://example.org", "admin@example.org", ""] {
            check(contact, Err(BadContact::Unsupported));
        }
    }

    #[test]
    fn header_fields_lists_and_odd_addresses_are_invalid() {
        for contact in [
            "mailto:a@example.org?subject=x",
            "mailto:a@example.org,b@example.org",
            "mailto:a,b@example.org",
            "mailto:",
            "mailto:@example.org",
            "mailto:a@",
            "mailto:a@localhost",
            "mailto:a@*.example.org",
            "mailto:a@192.0.2.1",
            "mailto:a..b@example.org",
            "mailto:a%40b@example.org",
            "mailto://a@example.org",
            "mailto:a#b@example.org",
            "mailto:a|b@example.org",
            "mailto:a\r\nBcc:b@example.org",
            "mailto:\u{fc}@example.org",
            "mailto:a b@example.org",
            "mailto:  a@example.org",
            "mailto:a@example.org ",
            "mailto: ",
            &format!("mailto:{}@example.org", "a".repeat(65)),
        ] {
            check(contact, Err(BadContact::Invalid));
        }
    }

    #[test]
    fn there_are_at_most_ten_contacts() {
        let contacts = |count| vec!["mailto:a@example.org".to_owned(); count];
        assert_eq!(check_contacts(&contacts(10)), Ok(()));
        assert_eq!(check_contacts(&contacts(11)), Err(BadContact::TooMany));
    }
}
