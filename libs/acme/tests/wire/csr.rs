//! CSRs made by rcgen and openssl.

use acme::{
    BadPublicKey, PublicKey, base64url,
    csr::{BadCsr, CertificateRequest, MAX_CSR_BYTES},
    key::KeyKind,
};
use domain::{InvalidDnsName, InvalidIpAddress};
use rcgen::{
    CertificateParams, CustomExtension, DnType, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData as _, SigningKey as _,
};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};

/// A CSR of tests/data.
macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../data/", $name, ".csr.der")).as_slice()
    };
}

fn names(der: &[u8]) -> Result<Vec<String>, BadCsr> {
    let request = CertificateRequest::parse(der)?;
    Ok(request.identifiers.iter().map(ToString::to_string).collect())
}

fn refused(der: &[u8]) -> BadCsr {
    CertificateRequest::parse(der).unwrap_err()
}

/// A P-256 CSR with these alternative names, and perhaps a common name.
pub(crate) fn request(alternative_names: &[&str], common_name: Option<&str>) -> Vec<u8> {
    let alternative_names: Vec<_> = alternative_names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(alternative_names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn names_come_from_alternative_names_and_common_name_once_each_in_lower_case() {
    assert_eq!(
        names(&request(&["b.example", "A.example"], None)).unwrap(),
        ["a.example", "b.example"]
    );
    assert_eq!(names(&request(&[], Some("a.Example"))).unwrap(), ["a.example"]);
    assert_eq!(
        names(&request(&["b.example"], Some("a.example"))).unwrap(),
        ["a.example", "b.example"]
    );
    assert_eq!(names(data!("several-names")).unwrap(), ["*.c.example", "a.example", "b.example"]);
}

#[test]
fn the_version_of_a_csr_does_not_matter() {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for version in [0, 1, 2] {
        let mut der = params.serialize_request(&pair).unwrap().der().to_vec();
        let signed = der.iter().position(|&octet| octet == 0x02).unwrap();
        assert_eq!(der[signed..signed + 3], [0x02, 1, 0]);
        der[signed + 2] = version;
        let (_, csr) = X509CertificationRequest::from_der(&der).unwrap();
        let signature = pair.sign(csr.certification_request_info.raw).unwrap();
        let unsigned = der.len() - signature.len();
        der.splice(unsigned.., signature);
        assert_eq!(names(&der).unwrap(), ["a.example"], "version {version}");
    }
}

#[test]
fn the_common_name_is_the_first_that_says_something() {
    let common_name = |der: &[u8]| CertificateRequest::parse(der).unwrap().common_name;
    let named = common_name(&request(&["b.example"], Some("A.example")));
    assert_eq!(named.as_deref(), Some("a.example"));
    assert_eq!(common_name(&request(&["b.example"], Some(""))), None);
    assert_eq!(common_name(&request(&["b.example"], None)), None);
}

#[test]
fn two_lists_of_alternative_names_are_refused() {
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let other = [&[0x30, 11, 0x82, 9], b"b.example".as_slice()].concat();
    params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], other));
    let der = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    assert_eq!(refused(&der), BadCsr::RepeatedExtension);
}

#[test]
fn an_empty_common_name_is_none() {
    assert_eq!(names(&request(&["a.example"], Some(""))).unwrap(), ["a.example"]);
    assert_eq!(refused(&request(&[], Some(""))), BadCsr::NoNames);
    assert_eq!(refused(&request(&[], None)), BadCsr::NoNames);
}

#[test]
fn a_hundred_of_the_longest_names_fit() {
    let label = "a".repeat(60);
    let long = |i| format!("{label}.{label}.{label}.{}.n{i:03}.example", "b".repeat(50));
    let names: Vec<String> = (0..100).map(long).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let der = request(&names, None);
    assert_eq!(CertificateRequest::parse(&der).unwrap().identifiers.len(), 100);
    let text = base64url::encode(&der);
    assert_eq!(CertificateRequest::from_base64url(&text).unwrap().identifiers.len(), 100);
}

#[test]
fn too_many_names_are_refused() {
    let names: Vec<String> = (0..300).map(|i| format!("n{i}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(refused(&request(&names, None)), BadCsr::TooManyNames);
}

#[test]
fn keys_of_every_kind_are_certified() {
    for (algorithm, kind) in [
        (&PKCS_ECDSA_P256_SHA256, KeyKind::P256),
        (&PKCS_ECDSA_P384_SHA384, KeyKind::P384),
        (&PKCS_ED25519, KeyKind::Ed25519),
    ] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let der = params.serialize_request(&pair).unwrap().der().to_vec();
        let request = CertificateRequest::parse(&der).unwrap();
        assert_eq!(request.public_key.kind(), kind);
        assert_eq!(request.public_key.spki_der(), pair.subject_public_key_info());
    }
    for der in [data!("rsa2048"), data!("rsa2048-sha512"), data!("rsa2048-pss"), data!("rsa4096")] {
        let request = CertificateRequest::parse(der).unwrap();
        assert_eq!(request.public_key.kind(), KeyKind::Rsa);
        let spki = request.public_key.spki_der();
        assert!(der.windows(spki.len()).any(|window| window == spki));
    }
}

/// rcgen's own CSR reader makes an undecodable key of this one.
#[test]
fn the_kind_of_key_does_not_depend_on_the_signature() {
    let request = CertificateRequest::parse(data!("p256-sha384")).unwrap();
    assert_eq!(request.public_key.kind(), KeyKind::P256);
}

#[test]
fn a_csr_key_is_comparable_with_an_account_key() {
    let account = crate::signer::Signer::rs256().public_jwk();
    let request = CertificateRequest::parse(data!("rsa2048")).unwrap();
    assert_eq!(request.public_key, *account.public_key());
    assert_eq!(PublicKey::from_spki_der(&account.public_key().spki_der()), Ok(request.public_key));
}

#[test]
fn weak_keys_and_signatures_are_refused() {
    let key = |reason| BadCsr::PublicKey(reason);
    assert_eq!(refused(data!("rsa1024")), key(BadPublicKey::ModulusSize));
    assert_eq!(refused(data!("rsa2048-e3")), key(BadPublicKey::Exponent));
    assert_eq!(refused(data!("p521")), key(BadPublicKey::Unsupported));
    assert_eq!(refused(data!("p256-explicit")), key(BadPublicKey::Unsupported));
    assert_eq!(refused(data!("rsa2048-sha1")), BadCsr::SignatureAlgorithm);
    assert_eq!(refused(data!("p256-sha1")), BadCsr::SignatureAlgorithm);
}

#[test]
fn a_csr_must_be_signed_with_its_own_key() {
    let mut der = request(&["a.example"], None);
    let at = der.windows(9).position(|window| window == b"a.example").unwrap();
    der[at] = b'b';
    assert_eq!(refused(&der), BadCsr::Signature);
}

#[test]
fn addresses_come_from_alternative_names_and_common_name() {
    let v6 = request(&["2001:db8::1", "a.example", "192.0.2.1"], None);
    assert_eq!(names(&v6).unwrap(), ["192.0.2.1", "2001:db8::1", "a.example"]);
    assert_eq!(names(&request(&["192.0.2.1"], Some("192.0.2.1"))).unwrap(), ["192.0.2.1"]);
    assert!(names(data!("ip")).is_ok());
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_refused() {
    let der = request(&["::ffff:192.0.2.1"], None);
    assert_eq!(refused(&der), BadCsr::Address(InvalidIpAddress::Mapped));
}

#[test]
fn other_names_than_dns_names_and_addresses_are_refused() {
    for der in [data!("email"), data!("uri"), data!("other-name"), data!("directory-name")] {
        assert_eq!(refused(der), BadCsr::OtherName);
    }
    for name in ["My Server", "localhost", "a_b.example", "192.0.2.01", "*.*.example"] {
        let der = request(&["a.example"], Some(name));
        assert!(matches!(refused(&der), BadCsr::Name(_)), "{name}");
    }
    let nul = request(&["a.example\0.b.example"], None);
    assert_eq!(refused(&nul), BadCsr::Name(InvalidDnsName::Character));
}

#[test]
fn a_ca_certificate_and_must_staple_are_refused_and_other_extensions_ignored() {
    assert_eq!(refused(data!("ca")), BadCsr::CaCertificate);
    assert_eq!(refused(data!("must-staple")), BadCsr::MustStaple);
    assert_eq!(names(data!("not-ca")).unwrap(), ["a.example"]);
}

#[test]
fn what_is_no_csr_is_malformed() {
    let der = request(&["a.example"], None);
    assert_eq!(refused(&[&der[..], &[0]].concat()), BadCsr::Malformed);
    assert_eq!(refused(&der[..der.len() - 1]), BadCsr::Malformed);
    assert_eq!(refused(&[]), BadCsr::Malformed);
    assert_eq!(refused(&vec![0x30; MAX_CSR_BYTES + 1]), BadCsr::TooLong);
    let text = base64url::encode(&der);
    assert!(CertificateRequest::from_base64url(&text).is_ok());
    assert_eq!(CertificateRequest::from_base64url(&format!("{text}=")), Err(BadCsr::Encoding));
    let long = "A".repeat(MAX_CSR_BYTES * 2);
    assert_eq!(CertificateRequest::from_base64url(&long), Err(BadCsr::TooLong));
}
