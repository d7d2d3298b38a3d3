//! Whether the bytes to sign say what was asked: they are read with another library than the one that wrote them.

use x509_parser::{
    certificate::TbsCertificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use super::LeafRequest;
use crate::{authority::Authority, subject_name::SubjectName};

/// Whether serial, issuer, key and names are those that were asked for, and the certificate is no CA's.
pub(super) fn says(tbs: &[u8], authority: &Authority, request: &LeafRequest<'_>) -> bool {
    let Ok(([], parsed)) = TbsCertificate::from_der(tbs) else { return false };
    parsed.raw_serial() == request.serial.octets()
        && parsed.issuer().as_raw() == authority.certificate().subject()
        && parsed.public_key().raw == request.public_key
        && !parsed.is_ca()
        && certifies(&parsed, request.names)
}

/// Whether the subject is that common name and nothing else.
pub(super) fn names_itself(tbs: &[u8], common_name: Option<&str>) -> bool {
    let Ok(([], parsed)) = TbsCertificate::from_der(tbs) else { return false };
    let attributes: Vec<_> = parsed.subject().iter_attributes().collect();
    let names: Vec<_> =
        parsed.subject().iter_common_name().map(|name| name.as_str().ok()).collect();
    match common_name {
        Some(_) => attributes.len() == 1 && names == [common_name],
        None => attributes.is_empty(),
    }
}

fn certifies(parsed: &TbsCertificate<'_>, names: &[SubjectName]) -> bool {
    let mut extensions =
        parsed.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
    let (Some(found), None) = (extensions.next(), extensions.next()) else { return false };
    let same = |(found, name): (&GeneralName<'_>, &SubjectName)| match (found, name) {
        (GeneralName::DNSName(text), SubjectName::Dns(_)) => text.as_bytes() == name.octets(),
        (GeneralName::IPAddress(octets), SubjectName::Ip(_)) => *octets == name.octets(),
        _ => false,
    };
    found.len() == names.len() && found.iter().zip(names).all(same)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{Serial, Timestamp};

    use super::*;
    use crate::{
        CaDirectory, CaKey, CaRequest, CaSubject, CertificateProfile, KeyAlgorithm, SubjectRule,
        plan::plan,
    };

    const ED25519: KeyAlgorithm = KeyAlgorithm::Ed25519;

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000)
    }

    fn authority(name: &str) -> Authority {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path(), None);
        let request = |name: &str| CaRequest {
            subject: CaSubject { common_name: name.into(), organization: None, country: None },
            extended_key_usages: vec![],
            validity: Duration::from_hours(24),
            now: now(),
        };
        ca.create_root(ED25519, &request("Root")).unwrap();
        ca.create_intermediate(ED25519, &request(name)).unwrap()
    }

    fn key() -> Vec<u8> {
        CaKey::from_pkcs8(&CaKey::generate_pkcs8(ED25519).unwrap()).unwrap().spki()
    }

    fn request<'a>(
        names: &'a [SubjectName],
        public_key: &'a [u8],
        serial: &'a Serial,
    ) -> LeafRequest<'a> {
        let (asked_at, now) = (now(), now());
        let (not_before, not_after, common_name) = (None, None, None);
        LeafRequest { names, common_name, public_key, not_before, not_after, asked_at, now, serial }
    }

    #[test]
    fn bytes_are_compared_with_what_was_asked_in_every_respect() {
        let (ca, other_ca, other_key) = (authority("Issuing"), authority("Other"), key());
        let name = |text: &str| text.parse::<SubjectName>().unwrap();
        let names = [name("a.example"), name("192.0.2.1")];
        let (key, serial) = (key(), Serial::from_random(&[1; 16]));
        let request = request(&names, &key, &serial);
        let tbs = plan(&ca, &CertificateProfile::default(), &request).unwrap().tbs;
        assert!(says(&tbs, &ca, &request));
        assert!(!says(&tbs, &other_ca, &request));
        assert!(!says(&tbs[1..], &ca, &request));

        let other_serial = Serial::from_random(&[2; 16]);
        assert!(!says(&tbs, &ca, &LeafRequest { serial: &other_serial, ..request.clone() }));
        assert!(!says(&tbs, &ca, &LeafRequest { public_key: &other_key, ..request.clone() }));
        for other in [
            vec![],
            vec![name("a.example")],
            vec![name("192.0.2.1"), name("a.example")],
            vec![name("a.example"), name("192.0.2.2")],
            vec![name("b.example"), name("192.0.2.1")],
            [names.as_slice(), &[name("b.example")]].concat(),
        ] {
            assert!(!says(&tbs, &ca, &LeafRequest { names: &other, ..request.clone() }));
        }
    }

    #[test]
    fn the_subject_is_the_common_name_that_was_decided_and_nothing_else() {
        let ca = authority("Issuing");
        let (names, key) = (["a.example".parse().unwrap()], key());
        let serial = Serial::from_random(&[1; 16]);
        let request = request(&names, &key, &serial);
        let planned = |subject| {
            let profile = CertificateProfile { subject, ..CertificateProfile::default() };
            plan(&ca, &profile, &request).unwrap().tbs
        };
        let (named, empty) = (planned(SubjectRule::FirstName), planned(SubjectRule::Empty));
        for (tbs, common_name, expected) in [
            (&named, Some("a.example"), true),
            (&named, Some("b.example"), false),
            (&named, None, false),
            (&empty, None, true),
            (&empty, Some("a.example"), false),
        ] {
            assert_eq!(names_itself(tbs, common_name), expected, "{common_name:?}");
        }
    }
}
