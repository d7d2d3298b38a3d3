//! The forms in which a certificate is sent, and which of them a client wants (RFC 8555 §7.4.2, RFC 9110 §12.5.1).

use acme::certs_only;
use base64::prelude::{BASE64_STANDARD, Engine as _};

/// A line of PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;
/// More media types than this in one Accept are not looked at.
const MAX_MEDIA_TYPES: usize = 32;

/// A form of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The certificate and its chain in PEM (RFC 8555 §9.1).
    PemChain,
    /// The certificate alone in DER (RFC 2585 §4.1).
    PkixCert,
    /// The certificate and its chain in a CMS message that signs nothing (RFC 8551 §3.2).
    CertsOnly,
}

impl Format {
    const ALL: [Self; 3] = [Self::PemChain, Self::PkixCert, Self::CertsOnly];

    /// The form that the lines of Accept prefer. Whoever wants none of ours gets PEM: most clients do not mean what they say.
    pub(super) fn accepted<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut best = (0, Self::PemChain);
        for range in lines.flat_map(|line| line.split(',')).take(MAX_MEDIA_TYPES) {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let quality = parts.find_map(weight).map_or(1000, thousandths);
            // PEM stands first, so that it answers what covers several.
            let format = Self::ALL.into_iter().find(|format| format.matches(media_type));
            if let Some(format) = format
                && quality > best.0
            {
                best = (quality, format);
            }
        }
        best.1
    }

    fn matches(self, range: &str) -> bool {
        matches!(range, "*/*" | "application/*") || range.eq_ignore_ascii_case(self.essence())
    }

    fn essence(self) -> &'static str {
        match self {
            Self::PemChain => "application/pem-certificate-chain",
            Self::PkixCert => "application/pkix-cert",
            Self::CertsOnly => "application/pkcs7-mime",
        }
    }

    /// The value of Content-Type. Some clients compare that of the PEM form as text, so it has no parameters.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::PemChain | Self::PkixCert => self.essence(),
            Self::CertsOnly => "application/pkcs7-mime; smime-type=certs-only",
        }
    }

    /// Whether it has no room for a chain.
    pub(super) fn is_alone(self) -> bool {
        match self {
            Self::PkixCert => true,
            Self::PemChain | Self::CertsOnly => false,
        }
    }

    /// Writes a certificate, which stands first, with those above it.
    pub(super) fn write(self, certificates: &[Vec<u8>]) -> Vec<u8> {
        match self {
            Self::PemChain => {
                let mut pem = String::new();
                certificates.iter().for_each(|der| push_pem(&mut pem, der));
                pem.into_bytes()
            }
            Self::PkixCert => certificates.first().cloned().unwrap_or_default(),
            Self::CertsOnly => certs_only(certificates),
        }
    }
}

/// The text of a quality, if the parameter is one.
fn weight(parameter: &str) -> Option<&str> {
    parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))
}

/// A quality from 0 to 1 as thousandths; what is none is 0, which asks for nothing.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{fraction:0<3}");
    match (whole, digits.parse::<u16>()) {
        ("0", Ok(fraction)) if digits.len() == 3 => fraction,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

/// Every certificate ends with a newline, which certbot needs.
fn push_pem(pem: &mut String, der: &[u8]) {
    let text = BASE64_STANDARD.encode(der);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(PEM_LINE) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_strict() {
        let pem = String::from_utf8(Format::PemChain.write(&[vec![0; 49]])).unwrap();
        let lines: Vec<&str> = pem.lines().collect();
        assert_eq!(lines[0], "-----BEGIN CERTIFICATE-----");
        assert_eq!((lines[1].len(), lines[2].len()), (64, 4));
        assert!(pem.ends_with("-----END CERTIFICATE-----\n"));
    }

    #[test]
    fn the_preferred_form_is_chosen() {
        use Format::{CertsOnly, PemChain, PkixCert};
        for (accept, expected) in [
            ("", PemChain),
            ("*/*", PemChain),
            ("text/html, application/*;q=0.1", PemChain),
            ("application/json", PemChain),
            ("application/pem-certificate-chain", PemChain),
            ("application/pkix-cert", PkixCert),
            ("Application/PKIX-Cert", PkixCert),
            ("application/pkcs7-mime; smime-type=certs-only", CertsOnly),
            ("application/pkix-cert;q=0.5, application/pkcs7-mime;q=0.7", CertsOnly),
            ("application/pkix-cert;q=0.9, */*;q=0.1", PkixCert),
            ("application/pkix-cert;q=0", PemChain),
            ("application/pkix-cert;q=abc", PemChain),
            ("application/pkix-cert;q=1.000", PkixCert),
            ("application/pkix-cert;Q=0.1, application/pkcs7-mime;q=0.2", CertsOnly),
        ] {
            assert_eq!(Format::accepted([accept].into_iter()), expected, "{accept}");
        }
        assert_eq!(Format::accepted([].into_iter()), PemChain);
        assert_eq!(Format::accepted(["text/html", "application/pkix-cert"].into_iter()), PkixCert);
    }
}
