//! Requested and issued certificates.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use anyhow::{Context as _, ensure};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    pem::Pem,
    prelude::FromDer as _,
    revocation_list::CertificateRevocationList,
};

use crate::{AccountKey, account_key::base64url};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
const END: &str = "-----END CERTIFICATE-----\n";

/// The key that is to be certified.
pub type CertificateKey = KeyPair;

/// A certificate with those above it.
#[derive(Clone, Debug)]
pub struct Chain {
    pem: String,
    certificates: Vec<Vec<u8>>,
}

/// Makes a key and a CSR for names, as finalize takes it.
///
/// # Errors
/// When a name is no name at all.
pub fn csr(names: &[&str]) -> anyhow::Result<(CertificateKey, String)> {
    let key = KeyPair::generate()?;
    let csr = csr_from(&key, names)?;
    Ok((key, csr))
}

/// Makes a CSR with a given key.
///
/// # Errors
/// When a name is no name at all.
pub fn csr_from(key: &CertificateKey, names: &[&str]) -> anyhow::Result<String> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(base64url(params.serialize_request(key)?.der()))
}

impl Chain {
    /// Reads a chain as it was downloaded (RFC 8555 §9.1).
    ///
    /// # Errors
    /// When it is not what clients can read: each certificate ends with a newline, and nothing stands between.
    pub fn parse(pem: &str) -> anyhow::Result<Self> {
        let parts: Vec<&str> = pem.split_inclusive(END).collect();
        let whole = parts.iter().all(|part| part.starts_with(BEGIN) && part.ends_with(END));
        ensure!(whole, "not a strict PEM chain:\n{pem}");
        ensure!(parts.len() >= 2, "clients want the issuer's certificate as well:\n{pem}");
        let der = |block: Result<Pem, _>| Ok::<_, anyhow::Error>(block?.contents);
        let certificates = Pem::iter_from_buffer(pem.as_bytes()).map(der);
        Ok(Self { pem: pem.to_owned(), certificates: certificates.collect::<Result<_, _>>()? })
    }

    /// Reads a chain that a program printed among other lines.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn printed(text: &str) -> anyhow::Result<Self> {
        let parts = text.split_inclusive(END);
        let blocks = parts.filter_map(|part| part.find(BEGIN).map(|start| &part[start..]));
        Self::parse(&blocks.collect::<String>())
    }

    /// The whole chain in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate itself in PEM.
    pub fn leaf_pem(&self) -> &str {
        self.pem.split_inclusive(END).next().unwrap_or_default()
    }

    /// The certificates above it in PEM.
    pub fn issuers_pem(&self) -> &str {
        self.pem.strip_prefix(self.leaf_pem()).unwrap_or_default()
    }

    /// The certificate itself as revokeCert takes it.
    ///
    /// # Errors
    /// When the chain is empty.
    pub fn leaf_base64url(&self) -> anyhow::Result<String> {
        Ok(base64url(self.certificates.first().context("an empty chain")?))
    }

    /// The serial number in lower-case hexadecimal.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn serial(&self) -> anyhow::Result<String> {
        self.with_leaf(|leaf| {
            let octets = leaf.raw_serial().iter();
            octets.map(|octet| format!("{octet:02x}")).collect()
        })
    }

    /// The names of the certificate, sorted.
    ///
    /// # Errors
    /// When the certificate cannot be read or has none.
    pub fn names(&self) -> anyhow::Result<Vec<String>> {
        let names = self.with_leaf(|leaf| {
            let extension = leaf.subject_alternative_name().ok().flatten()?;
            let names = extension.value.general_names.iter().map(|name| match name {
                GeneralName::DNSName(name) => (*name).to_owned(),
                GeneralName::IPAddress(octets) => {
                    match (<[u8; 4]>::try_from(*octets), <[u8; 16]>::try_from(*octets)) {
                        (Ok(v4), _) => IpAddr::from(v4).to_string(),
                        (_, Ok(v6)) => IpAddr::from(v6).to_string(),
                        _ => format!("{octets:?}"),
                    }
                }
                other => format!("{other:?}"),
            });
            Some(names.collect::<Vec<_>>())
        })?;
        let mut names = names.context("the certificate has no subjectAltName")?;
        names.sort();
        Ok(names)
    }

    /// From the start of the validity to its end.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn validity(&self) -> anyhow::Result<Duration> {
        let seconds = self.with_leaf(|leaf| {
            let validity = leaf.validity();
            validity.not_after.timestamp() - validity.not_before.timestamp()
        })?;
        Ok(Duration::from_secs(seconds.try_into()?))
    }

    /// Where the certificate says its CRL is.
    ///
    /// # Errors
    /// When it does not say so.
    pub fn crl_url(&self) -> anyhow::Result<String> {
        let url = self.with_leaf(|leaf| {
            let points = leaf.extensions().iter().find_map(|it| match it.parsed_extension() {
                ParsedExtension::CRLDistributionPoints(points) => Some(points),
                _ => None,
            })?;
            let DistributionPointName::FullName(names) =
                points.first()?.distribution_point.as_ref()?
            else {
                return None;
            };
            names.iter().find_map(|name| match name {
                GeneralName::URI(url) => Some((*url).to_owned()),
                _ => None,
            })
        })?;
        url.context("the certificate names no CRL")
    }

    /// Where the certificate says that OCSP is answered, if it does.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn ocsp_url(&self) -> anyhow::Result<Option<String>> {
        const OCSP: &str = "1.3.6.1.5.5.7.48.1";
        self.with_leaf(|leaf| {
            let places = leaf.extensions().iter().find_map(|it| match it.parsed_extension() {
                ParsedExtension::AuthorityInfoAccess(access) => Some(&access.accessdescs),
                _ => None,
            })?;
            let ocsp = places.iter().find(|it| it.access_method.to_id_string() == OCSP)?;
            match &ocsp.access_location {
                GeneralName::URI(url) => Some((*url).to_owned()),
                _ => None,
            }
        })
    }

    fn with_leaf<T>(&self, read: impl FnOnce(&X509Certificate<'_>) -> T) -> anyhow::Result<T> {
        let der = self.certificates.first().context("an empty chain")?;
        let (_, leaf) = X509Certificate::from_der(der)?;
        Ok(read(&leaf))
    }
}

/// The serial numbers in a CRL with the codes of their reasons, in lower-case hexadecimal.
///
/// # Errors
/// When it is no CRL.
pub fn revoked(crl: &[u8]) -> anyhow::Result<BTreeMap<String, u8>> {
    let (_, crl) = CertificateRevocationList::from_der(crl)?;
    let serial = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let entries = crl.iter_revoked_certificates().map(|entry| {
        let reason = entry.reason_code().map_or(0, |(_, reason)| reason.0);
        (serial(entry.raw_serial()), reason)
    });
    Ok(entries.collect())
}

impl TryFrom<&CertificateKey> for AccountKey {
    type Error = anyhow::Error;

    /// The certificate's own key, which may sign a revocation (RFC 8555 §7.6).
    fn try_from(key: &CertificateKey) -> anyhow::Result<Self> {
        AccountKey::from_p256_pkcs8(key.serialized_der())
    }
}
