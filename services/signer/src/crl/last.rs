//! The CRL that was published last under a name, as the signer kept it or the read model has it.

use std::collections::BTreeSet;

use ca::{Authority, CrlPlan};
use domain::{Serial, Timestamp};
use readmodel::Crl;
use x509_parser::{
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    prelude::FromDer as _,
    revocation_list::CertificateRevocationList,
};

/// The bytes are no CRL of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the last CRL is damaged: remove it if the revocations in the log are whole")]
pub(super) struct Damaged;

/// A CRL and what the next one is compared with.
pub(super) struct Last {
    pub(super) der: Vec<u8>,
    pub(super) number: u64,
    pub(super) made: Timestamp,
    pub(super) next_update: Timestamp,
    serials: BTreeSet<Serial>,
    urls: Vec<String>,
}

impl Last {
    pub(super) fn parse(der: Vec<u8>) -> Result<Self, Damaged> {
        let Ok(([], crl)) = CertificateRevocationList::from_der(&der) else { return Err(Damaged) };
        let number = crl.crl_number().and_then(|number| u64::try_from(number).ok());
        let next_update = crl.next_update().ok_or(Damaged)?;
        let serials = crl
            .iter_revoked_certificates()
            .map(|revoked| Serial::from_octets(revoked.raw_serial()))
            .collect::<Result<_, _>>();
        Ok(Self {
            number: number.ok_or(Damaged)?,
            made: Timestamp::from_unix_seconds(crl.last_update().timestamp()),
            next_update: Timestamp::from_unix_seconds(next_update.timestamp()),
            serials: serials.map_err(|_| Damaged)?,
            urls: urls(&crl),
            der,
        })
    }

    /// The CRL that the next one follows, of the one kept here and the one in the read model: that of another signer may be newer
    /// than ours, and is all there is when our disk was lost.
    pub(super) fn to_follow(
        kept: Option<Self>,
        published: Option<&Crl>,
        authority: &Authority,
    ) -> Option<Self> {
        let is_newer = |number: u64| kept.as_ref().is_none_or(|kept| kept.number < number);
        // The read model is a cache: what it holds damaged, or what others put there, is not asked.
        let newer = published.filter(|crl| is_newer(crl.number));
        let newer = newer.filter(|crl| authority.has_signed_crl(&crl.der));
        let newer = newer.and_then(|crl| Self::parse(crl.der.clone()).ok());
        newer.filter(|last| is_newer(last.number)).or(kept)
    }

    /// Whether it says everything that a new one would.
    pub(super) fn says_all_of(&self, plan: &CrlPlan) -> bool {
        self.urls == plan.urls && plan.entries.keys().all(|serial| self.serials.contains(serial))
    }

    /// What it lists and a new one does not.
    pub(super) fn not_in<'a>(&'a self, plan: &'a CrlPlan) -> impl Iterator<Item = &'a Serial> {
        self.serials.iter().filter(|serial| !plan.entries.contains_key(*serial))
    }

    /// Whether what is published is not another CRL of the same number: two signers may have given two CRLs one number.
    pub(super) fn may_replace(&self, published: &Crl) -> bool {
        published.number != self.number || published.der == self.der
    }

    pub(super) fn crl(&self) -> Crl {
        Crl { der: self.der.clone(), number: self.number, next_update: self.next_update }
    }
}

/// Where it says that it is served.
fn urls(crl: &CertificateRevocationList<'_>) -> Vec<String> {
    let point = crl.extensions().iter().find_map(|it| match it.parsed_extension() {
        ParsedExtension::IssuingDistributionPoint(point) => point.distribution_point.as_ref(),
        _ => None,
    });
    let Some(DistributionPointName::FullName(names)) = point else { return Vec::new() };
    let url = |name: &GeneralName<'_>| match name {
        GeneralName::URI(url) => Some((*url).to_owned()),
        _ => None,
    };
    names.iter().filter_map(url).collect()
}
