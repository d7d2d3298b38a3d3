//! SubjectPublicKeyInfo (RFC 5280 §4.1.2.7): read leniently, written in one way.

use x509_parser::{
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
        OID_SIG_ED25519,
    },
    prelude::FromDer,
    public_key::RSAPublicKey,
    x509::SubjectPublicKeyInfo,
};
use yasna::{DERWriter, models::ObjectIdentifier};

use super::{BadPublicKey, Material, PublicKey};

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When it is not one, or the key is not accepted. A point's place on its curve is not checked.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, BadPublicKey> {
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], spki)) => Self::from_spki(&spki),
            Ok(_) | Err(_) => Err(BadPublicKey::Unsupported),
        }
    }

    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, BadPublicKey> {
        let bits = &spki.subject_public_key;
        if bits.unused_bits != 0 {
            return Err(BadPublicKey::Length);
        }
        let algorithm = &spki.algorithm.algorithm;
        if *algorithm == OID_PKCS1_RSAENCRYPTION {
            from_rsa_public_key(&bits.data)
        } else if *algorithm == OID_SIG_ED25519 {
            Self::ed25519(&bits.data)
        } else if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let parameters = spki.algorithm.parameters.as_ref();
            let curve = parameters.and_then(|curve| curve.as_oid().ok());
            match curve.ok_or(BadPublicKey::Unsupported)? {
                curve if curve == OID_EC_P256 => Self::p256(&bits.data),
                curve if curve == OID_NIST_EC_P384 => Self::p384(&bits.data),
                _ => Err(BadPublicKey::Unsupported),
            }
        } else {
            Err(BadPublicKey::Unsupported)
        }
    }

    /// Writes the DER SubjectPublicKeyInfo; equal keys have equal octets.
    pub fn spki_der(&self) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_sequence(|writer| match &self.0 {
                    Material::Rsa { .. } => {
                        write_oid(writer.next(), &[1, 2, 840, 113_549, 1, 1, 1]);
                        writer.next().write_null();
                    }
                    Material::P256(_) => {
                        write_oid(writer.next(), &[1, 2, 840, 10_045, 2, 1]);
                        write_oid(writer.next(), &[1, 2, 840, 10_045, 3, 1, 7]);
                    }
                    Material::P384(_) => {
                        write_oid(writer.next(), &[1, 2, 840, 10_045, 2, 1]);
                        write_oid(writer.next(), &[1, 3, 132, 0, 34]);
                    }
                    Material::Ed25519(_) => write_oid(writer.next(), &[1, 3, 101, 112]),
                });
                let bits = self.bits();
                writer.next().write_bitvec_bytes(&bits, bits.len() * 8);
            });
        })
    }

    /// The content of the subjectPublicKey BIT STRING, which is also the form in which ring takes keys.
    pub(crate) fn bits(&self) -> Vec<u8> {
        match &self.0 {
            Material::Rsa { modulus, exponent } => yasna::construct_der(|writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_bigint_bytes(modulus, true);
                    writer.next().write_u32(*exponent);
                });
            }),
            Material::P256(point) => point.to_vec(),
            Material::P384(point) => point.to_vec(),
            Material::Ed25519(key) => key.to_vec(),
        }
    }
}

fn from_rsa_public_key(der: &[u8]) -> Result<PublicKey, BadPublicKey> {
    let Ok(([], key)) = RSAPublicKey::from_der(der) else {
        return Err(BadPublicKey::Unsupported);
    };
    let negative = |number: &[u8]| number.first().is_none_or(|first| first & 0x80 != 0);
    if negative(key.modulus) || negative(key.exponent) {
        return Err(BadPublicKey::ModulusSize);
    }
    PublicKey::rsa(key.modulus, key.exponent)
}

fn write_oid(writer: DERWriter<'_>, components: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(components));
}

#[cfg(test)]
mod tests {
    use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData as _};

    use super::*;

    #[test]
    fn a_key_survives_its_spki() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
            let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let der = pair.subject_public_key_info();
            let key = PublicKey::from_spki_der(&der).unwrap();
            assert_eq!(key.spki_der(), der);
            assert_eq!(key.check_numbers(), Ok(()));
        }
        let rsa = PublicKey::rsa(&[0xff; 256], &[0xff; 4]).unwrap();
        assert_eq!(PublicKey::from_spki_der(&rsa.spki_der()), Ok(rsa));
    }

    #[test]
    fn negative_rsa_numbers_are_refused() {
        let key = |exponent: i64| {
            yasna::construct_der(|writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_bigint_bytes(&[0xff; 256], true);
                    writer.next().write_i64(exponent);
                });
            })
        };
        assert!(from_rsa_public_key(&key(65537)).is_ok());
        assert_eq!(from_rsa_public_key(&key(-65537)), Err(BadPublicKey::ModulusSize));
        let mut negative_modulus = key(65537);
        let sign = negative_modulus.iter().position(|octet| *octet == 0).unwrap();
        negative_modulus[sign] = 0x80;
        assert_eq!(from_rsa_public_key(&negative_modulus), Err(BadPublicKey::ModulusSize));
    }

    #[test]
    fn trailing_octets_and_other_algorithms_are_refused() {
        let der = PublicKey::ed25519(&[1; 32]).unwrap().spki_der();
        let trailing = [&der[..], &[0]].concat();
        assert_eq!(PublicKey::from_spki_der(&trailing), Err(BadPublicKey::Unsupported));
        let mut x25519 = der;
        let oid_end = x25519.windows(3).position(|w| w == [43, 101, 112]).unwrap() + 2;
        x25519[oid_end] = 110;
        assert_eq!(PublicKey::from_spki_der(&x25519), Err(BadPublicKey::Unsupported));
    }
}
