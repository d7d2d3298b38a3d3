//! Base64url without padding, as every binary field of ACME is written (RFC 8555 §6.1).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The text is not unpadded base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not base64url without padding")]
pub struct NotBase64Url;

/// Encodes octets.
pub fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Decodes text; there is exactly one text for every octet string.
///
/// # Errors
/// When the text has padding, characters of another alphabet, or bits set beyond the last octet.
pub fn decode(text: &str) -> Result<Vec<u8>, NotBase64Url> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64Url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_other_alphabets_and_stray_bits_are_refused() {
        for text in ["QQ==", "QQ=", "+/+/", "QR", "Q", "Q Q", "QQ\n", "ü"] {
            assert_eq!(decode(text), Err(NotBase64Url), "{text}");
        }
        assert_eq!(decode("QQ"), Ok(vec![b'A']));
        assert_eq!(decode(""), Ok(Vec::new()));
    }
}
