//! PEM texts that hold certificates and requests.

use pem::{EncodeConfig, LineEnding, Pem};

/// A bundle of more certificates than this is not one of ours.
const MAX_CERTIFICATES: usize = 100;
const CERTIFICATE: &str = "CERTIFICATE";
const REQUEST: &str = "CERTIFICATE REQUEST";

/// The text is no PEM bundle of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a PEM bundle of 1 to 100 certificates")]
pub struct NotCertificates;

/// The DER certificates of a PEM bundle, in order.
pub(crate) fn parse_certificates(text: &str) -> Result<Vec<Vec<u8>>, NotCertificates> {
    let blocks = pem::parse_many(text).map_err(|_| NotCertificates)?;
    let only_certificates = blocks.iter().all(|block| block.tag() == CERTIFICATE);
    if !only_certificates || blocks.is_empty() || blocks.len() > MAX_CERTIFICATES {
        return Err(NotCertificates);
    }
    Ok(blocks.into_iter().map(Pem::into_contents).collect())
}

/// The PEM bundle of DER certificates.
pub fn encode_certificates<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let blocks: Vec<Pem> = certificates.into_iter().map(|der| Pem::new(CERTIFICATE, der)).collect();
    pem::encode_many_config(&blocks, line_feeds())
}

/// The PEM form of a DER PKCS#10 request.
pub(crate) fn encode_request(der: &[u8]) -> String {
    pem::encode_config(&Pem::new(REQUEST, der), line_feeds())
}

fn line_feeds() -> EncodeConfig {
    EncodeConfig::new().set_line_ending(LineEnding::LF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_survive_their_text() {
        let bundle = [b"one".as_slice(), b"two"];
        assert_eq!(parse_certificates(&encode_certificates(bundle)).unwrap(), bundle);
    }

    #[test]
    fn other_texts_are_refused() {
        assert_eq!(parse_certificates(""), Err(NotCertificates));
        assert_eq!(parse_certificates(&encode_request(b"request")), Err(NotCertificates));
    }
}
