//! A stand-in for the CA key while rcgen builds what is to be signed: rcgen shows no TBS, so it "signs" with nothing.

use rcgen::{PublicKeyData, SigningKey};

use crate::{algorithm::KeyAlgorithm, ca_key::CaKey};

/// The public half of a CA key; its signatures are empty.
#[derive(Debug)]
pub(crate) struct Unsigned {
    algorithm: KeyAlgorithm,
    public_key: Vec<u8>,
}

impl Unsigned {
    /// Stands in for `key`.
    pub(crate) fn for_key(key: &CaKey) -> Self {
        Self { algorithm: key.algorithm(), public_key: key.der_bytes().to_vec() }
    }
}

impl PublicKeyData for Unsigned {
    fn der_bytes(&self) -> &[u8] {
        &self.public_key
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm.rcgen()
    }
}

impl SigningKey for Unsigned {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

/// The bytes to sign of a certificate, CRL or request: the first element of `SEQUENCE { tbs, algorithm, signature }`.
pub(crate) fn tbs_of(der: &[u8]) -> Option<Vec<u8>> {
    yasna::parse_der(der, |reader| {
        reader.read_sequence(|reader| {
            let tbs = reader.next().read_der()?;
            reader.next().read_der()?;
            reader.next().read_der()?;
            Ok(tbs)
        })
    })
    .ok()
}

/// Joins the bytes that were signed with their signature: `SEQUENCE { tbs, algorithm, signature }` (RFC 5280 §4.1).
pub(crate) fn assemble(tbs: &[u8], signature: &[u8], algorithm: KeyAlgorithm) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(tbs);
            writer.next().write_der(&algorithm.signature_identifier());
            writer.next().write_bitvec_bytes(signature, signature.len() * 8);
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_assembled_holds_the_signed_bytes() {
        let tbs = [0x30, 0x03, 0x02, 0x01, 0x05];
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(tbs_of(&assemble(&tbs, b"signature", algorithm)), Some(tbs.to_vec()));
        }
        assert_eq!(tbs_of(b"no der"), None);
    }
}
