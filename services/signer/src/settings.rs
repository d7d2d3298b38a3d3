//! What a signer is told by the configuration.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use ca::{CertificateProfile, CertificateUrl, ExtendedKeyUsage, SubjectName, SubjectRule};
use domain::{CrlName, CrlShards, IssuerName, ProfileName, Timestamp, order::CAA_VALID_FOR};
use runtime::config::{Ca, KeyPurpose, Profile, Subject};

use crate::chains::ChainRule;

/// How long the server's own certificate is valid.
const SERVER_CERTIFICATE_VALIDITY: Duration = Duration::from_hours(30 * 24);

/// A signer's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the journal, the log's position and the last CRLs are kept.
    pub(crate) dir: PathBuf,
    /// Where the server's own certificate is kept.
    pub(crate) tls_dir: PathBuf,
    /// The names of the server's own certificate.
    pub(crate) server_names: Vec<SubjectName>,
    /// How the server's own certificate is made.
    pub(crate) server_profile: CertificateProfile,
    /// The issuers of the profiles that name one.
    pub(crate) issuers: HashMap<ProfileName, IssuerName>,
    /// The issuers that answer OCSP requests; `None` is the one for the profiles that name none.
    pub(crate) ocsp_issuers: HashSet<Option<IssuerName>>,
    /// How each profile's certificates are made, where the profile is not disabled.
    pub(crate) profiles: HashMap<ProfileName, CertificateProfile>,
    /// The profiles that are disabled.
    pub(crate) disabled: HashSet<ProfileName>,
    /// The profiles whose certificates need a recent look at CAA.
    pub(crate) caa_profiles: HashSet<ProfileName>,
    /// Which chains go along with each profile's certificates.
    pub(crate) chain_rules: HashMap<ProfileName, ChainRule>,
    /// The profiles where a new certificate revokes the one before.
    pub(crate) single_active: HashSet<ProfileName>,
    /// How long an OCSP response is valid.
    pub(crate) ocsp_validity: Duration,
    /// Below which URL CRLs are served.
    pub(crate) crl_base_url: CertificateUrl,
    /// Into how many CRLs revocations are divided.
    pub(crate) crl_shards: CrlShards,
    /// How long a CRL is valid.
    pub(crate) crl_validity: Duration,
    /// After what time a new CRL is made even if nothing was revoked.
    pub(crate) crl_refresh: Duration,
    /// Over how many streams orders are spread.
    pub(crate) order_shards: u8,
}

/// The configuration does not make a signer.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The host of `api.base_url` cannot stand in a certificate.
    #[error("its host cannot stand in a certificate")]
    ServerName(#[source] ca::InvalidSubjectName),
    /// A URL of `[ca]` cannot stand in a certificate.
    #[error("cannot stand in a certificate")]
    Url(#[source] ca::InvalidCertificateUrl),
}

impl SettingsError {
    /// The keys of the configuration that it is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::ServerName(_) => "api.base_url",
            Self::Url(_) => "ca.crl_base_url, ca.ocsp_base_url, ca.issuer_url",
        }
    }
}

impl Settings {
    /// Takes what concerns a signer from the configuration.
    ///
    /// # Errors
    /// When a name or URL cannot stand in certificates.
    pub fn from_config(config: &runtime::Config) -> Result<Self, SettingsError> {
        let crl_base_url: CertificateUrl =
            config.crl_base_url().parse().map_err(SettingsError::Url)?;
        let common = CertificateProfile {
            validity: SERVER_CERTIFICATE_VALIDITY,
            backdate: CertificateProfile::default().backdate,
            subject: SubjectRule::Empty,
            extended_key_usages: vec![ExtendedKeyUsage::ServerAuth],
            crl_base_url: Some(crl_base_url.clone()),
            crl_shards: config.ca.crl_shards,
            ocsp_base_url: None,
            ca_issuers_url: None,
        };
        let profiles = config.profiles.iter().filter(|profile| profile.enabled).map(|profile| {
            let certificates = of_profile(profile, common.clone());
            let certificates = with_issuer_urls(certificates, config, &config.ca_of(profile))?;
            Ok((profile.name.clone(), certificates))
        });
        let names_where = |holds: &dyn Fn(&Profile) -> bool| {
            let those = config.profiles.iter().filter(|profile| holds(profile));
            those.map(|profile| profile.name.clone()).collect()
        };
        let named = config.ca.issuer_names().cloned().map(Some);
        let ocsp_issuers =
            named.chain([None]).filter(|issuer| config.ca.of(issuer.as_ref()).ocsp).collect();
        let server_name = config.api.base_url.host().parse().map_err(SettingsError::ServerName)?;
        Ok(Self {
            dir: config.data_dir.join("signer"),
            tls_dir: config.data_dir.join("tls"),
            server_names: vec![server_name],
            profiles: profiles.collect::<Result<_, _>>()?,
            chain_rules: config
                .profiles
                .iter()
                .map(|profile| (profile.name.clone(), ChainRule::from_config(profile)))
                .collect(),
            single_active: names_where(&|profile| profile.single_active_certificate),
            issuers: config
                .profiles
                .iter()
                .filter_map(|profile| Some((profile.name.clone(), profile.issuer.clone()?)))
                .collect(),
            ocsp_issuers,
            server_profile: with_issuer_urls(common, config, &config.ca)?,
            disabled: names_where(&|profile| !profile.enabled),
            caa_profiles: names_where(&|profile| config.validation_of(profile).checks_caa()),
            ocsp_validity: config.ca.ocsp_validity.get(),
            crl_base_url,
            crl_shards: config.ca.crl_shards,
            crl_validity: config.ca.crl_validity.get(),
            crl_refresh: config.ca.crl_refresh.get(),
            order_shards: config.event_log.order_shards,
        })
    }

    /// Since when CAA must have been looked at for a certificate of the profile; `None` where it does not matter.
    pub(crate) fn caa_since(&self, profile: &ProfileName, now: Timestamp) -> Option<Timestamp> {
        self.caa_profiles.contains(profile).then(|| now.minus(CAA_VALID_FOR))
    }

    /// The directory of all that the signer keeps, but for the server's own certificate.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the journal is.
    pub fn journal_dir(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// The file that, where it exists, has the next start compare what the signer keeps with the log.
    pub fn restored_mark(&self) -> PathBuf {
        self.dir.join("log-restored")
    }

    /// Where the CRL is kept that was published last under a name.
    pub(crate) fn crl_file(&self, name: &CrlName) -> PathBuf {
        self.dir.join(format!("{name}.crl"))
    }

    /// The file that says how far the log had come.
    pub fn position_file(&self) -> PathBuf {
        self.dir.join("log-position.json")
    }
}

/// How a profile's certificates are made: like the server's own, but for what the profile says.
fn of_profile(profile: &Profile, common: CertificateProfile) -> CertificateProfile {
    CertificateProfile {
        validity: profile.certificate_validity.get(),
        backdate: profile.backdate.get(),
        subject: subject_rule(profile.subject),
        extended_key_usages: extended_key_usages(profile),
        ..common
    }
}

/// Adds the URLs of the issuer's OCSP responder and of its certificate.
fn with_issuer_urls(
    profile: CertificateProfile,
    config: &runtime::Config,
    ca: &Ca,
) -> Result<CertificateProfile, SettingsError> {
    let ocsp_base_url = ca.ocsp.then(|| config.ocsp_base_url().parse());
    let issuer_url = ca.issuer_url.as_ref().map(|url| url.as_str().parse());
    Ok(CertificateProfile {
        ocsp_base_url: ocsp_base_url.transpose().map_err(SettingsError::Url)?,
        ca_issuers_url: issuer_url.transpose().map_err(SettingsError::Url)?,
        ..profile
    })
}

fn subject_rule(subject: Subject) -> SubjectRule {
    match subject {
        Subject::None => SubjectRule::Empty,
        Subject::FirstName => SubjectRule::FirstName,
        Subject::AsRequested => SubjectRule::AsRequested,
    }
}

/// What a profile's certificates are for.
pub fn extended_key_usages(profile: &Profile) -> Vec<ExtendedKeyUsage> {
    profile.extended_key_usages.iter().map(key_usage).collect()
}

fn key_usage(purpose: &KeyPurpose) -> ExtendedKeyUsage {
    match purpose {
        KeyPurpose::ServerAuth => ExtendedKeyUsage::ServerAuth,
        KeyPurpose::ClientAuth => ExtendedKeyUsage::ClientAuth,
        KeyPurpose::CodeSigning => ExtendedKeyUsage::CodeSigning,
        KeyPurpose::EmailProtection => ExtendedKeyUsage::EmailProtection,
        KeyPurpose::IpsecIke => ExtendedKeyUsage::IpsecIke,
    }
}
