//! Which resource a path names, and which methods it takes.

use std::sync::Arc;

use domain::{
    AccountId, ChallengeType, CrlName, IssuerId, OrderId, ProfileName, order::AuthorizationIndex,
};
use eventstore::Sequence;
use http::Method;

use crate::{
    limits::MAX_PATH_BYTES,
    settings::{Profile, Settings},
    urls::{AuthorizationPlace, CertificatePlace},
};

/// What a path names.
#[derive(Debug)]
pub(crate) enum Route {
    /// A resource of a profile.
    Acme(Arc<Profile>, Resource),
    /// Nothing; with the profile below whose URLs the path is, if it is below those of one.
    Absent(Option<Arc<Profile>>),
    /// A CRL, outside all profiles.
    Crl(CrlName),
    /// An issuer's OCSP responder, outside all profiles; the request, in the path or in the body, names the issuer again.
    Ocsp(Option<String>),
}

/// A resource of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Directory,
    NewNonce,
    NewAccount,
    NewOrder,
    NewAuthz,
    RevokeCert,
    KeyChange,
    Account(AccountId),
    AccountOrders(AccountId),
    Order(OrderId),
    Finalize(OrderId),
    Authorization(AuthorizationPlace),
    Challenge(AuthorizationPlace, ChallengeType),
    Certificate(CertificatePlace),
}

impl Resource {
    /// The name under which requests are counted and traced.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::NewNonce => "new-nonce",
            Self::NewAccount => "new-account",
            Self::NewOrder => "new-order",
            Self::NewAuthz => "new-authz",
            Self::RevokeCert => "revoke-cert",
            Self::KeyChange => "key-change",
            Self::Account(_) => "account",
            Self::AccountOrders(_) => "account-orders",
            Self::Order(_) => "order",
            Self::Finalize(_) => "finalize",
            Self::Authorization(..) => "authorization",
            Self::Challenge(..) => "challenge",
            Self::Certificate(_) => "certificate",
        }
    }

    /// The order that the resource is or belongs to.
    pub(crate) fn order(&self) -> Option<&OrderId> {
        match self {
            Self::Order(id)
            | Self::Finalize(id)
            | Self::Authorization(AuthorizationPlace::Order(id, _))
            | Self::Challenge(AuthorizationPlace::Order(id, _), _) => Some(id),
            Self::Authorization(AuthorizationPlace::PreAuthorization(_))
            | Self::Challenge(AuthorizationPlace::PreAuthorization(_), _) => None,
            Self::Directory
            | Self::NewNonce
            | Self::NewAccount
            | Self::NewOrder
            | Self::NewAuthz
            | Self::RevokeCert
            | Self::KeyChange
            | Self::Account(_)
            | Self::AccountOrders(_)
            | Self::Certificate(_) => None,
        }
    }
}

impl Route {
    /// Finds what a path names.
    pub(crate) fn find(settings: &Settings, path: &str, query: &str) -> Self {
        Self::named(settings, path, query).unwrap_or(Self::Absent(None))
    }

    fn named(settings: &Settings, path: &str, query: &str) -> Option<Self> {
        if path.len() > MAX_PATH_BYTES {
            return None;
        }
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        match segments.as_slice() {
            ["crl", file] => Some(Self::Crl(file.strip_suffix(".crl")?.parse().ok()?)),
            ["ocsp", issuer, request @ ..] => {
                let _: IssuerId = issuer.parse().ok()?;
                Some(Self::Ocsp((!request.is_empty()).then(|| request.join("/"))))
            }
            ["acme", "directory"] => {
                let name = configuration_id(query).unwrap_or(settings.default_profile.as_str());
                Some(Self::Acme(Arc::clone(settings.profile(name)?), Resource::Directory))
            }
            ["acme", "raProfile", profile, "directory"] => {
                Some(Self::Acme(Arc::clone(settings.profile(profile)?), Resource::Directory))
            }
            ["acme", profile, resource @ ..] => {
                let profile = Arc::clone(settings.profile(profile)?);
                // Where pre-authorizations are not allowed there is nothing to ask for them at.
                let is_there = |resource: &Resource| {
                    *resource != Resource::NewAuthz || profile.pre_authorization_allowed
                };
                Some(match resource_of(resource).filter(is_there) {
                    Some(resource) => Self::Acme(profile, resource),
                    None => Self::Absent(Some(profile)),
                })
            }
            _ => None,
        }
    }

    /// The profile below whose URLs the path is.
    pub(crate) fn profile(&self) -> Option<&ProfileName> {
        match self {
            Self::Acme(profile, _) | Self::Absent(Some(profile)) => Some(&profile.name),
            Self::Absent(None) | Self::Crl(_) | Self::Ocsp(_) => None,
        }
    }

    /// The name under which requests are counted and traced.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Acme(_, resource) => resource.name(),
            Self::Absent(_) => "unknown",
            Self::Crl(_) => "crl",
            Self::Ocsp(_) => "ocsp",
        }
    }

    /// Whether it belongs to the ACME server, as every path does but those of CRLs and OCSP.
    pub(crate) fn is_acme(&self) -> bool {
        match self {
            Self::Acme(..) | Self::Absent(_) => true,
            Self::Crl(_) | Self::Ocsp(_) => false,
        }
    }

    /// The methods the resource takes, for `Allow`.
    pub(crate) fn methods(&self) -> &'static [Method] {
        const READ: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS];
        const READ_OR_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];
        const POST: &[Method] = &[Method::POST, Method::OPTIONS];
        match self {
            Self::Crl(_) | Self::Ocsp(Some(_)) => READ,
            Self::Ocsp(None) => POST,
            // The two that RFC 8555 §6.3 lets be read either way.
            Self::Acme(_, Resource::Directory | Resource::NewNonce) => READ_OR_POST,
            Self::Acme(_, _) => POST,
            Self::Absent(_) => &[],
        }
    }
}

/// The profile named by EJBCA's form of the directory URL.
fn configuration_id(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("configurationId="))
}

fn resource_of(segments: &[&str]) -> Option<Resource> {
    Some(match segments {
        ["directory"] => Resource::Directory,
        ["new-nonce"] => Resource::NewNonce,
        ["new-account"] => Resource::NewAccount,
        ["new-order"] => Resource::NewOrder,
        ["new-authz"] => Resource::NewAuthz,
        ["revoke-cert"] => Resource::RevokeCert,
        ["key-change"] => Resource::KeyChange,
        ["account", id] => Resource::Account(id.parse().ok()?),
        ["account", id, "orders"] => Resource::AccountOrders(id.parse().ok()?),
        ["order", id] => Resource::Order(id.parse().ok()?),
        ["order", id, "finalize"] => Resource::Finalize(id.parse().ok()?),
        ["authorization", place @ ..] => Resource::Authorization(authorization_place(place)?),
        ["challenge", place @ .., kind] => {
            Resource::Challenge(authorization_place(place)?, kind.parse().ok()?)
        }
        ["certificate", id] => Resource::Certificate(certificate_place(id, 0)?),
        ["certificate", id, chain] => {
            // The first chain has the shorter URL.
            let chain = canonical_number(chain).filter(|&chain| chain > 0)?;
            Resource::Certificate(certificate_place(id, usize::try_from(chain).ok()?)?)
        }
        _ => return None,
    })
}

fn certificate_place(id: &str, chain: usize) -> Option<CertificatePlace> {
    let (sequence, serial) = id.split_once('-')?;
    let ledger_sequence = Sequence(canonical_number(sequence)?);
    Some(CertificatePlace { ledger_sequence, serial: serial.parse().ok()?, chain })
}

fn authorization_place(segments: &[&str]) -> Option<AuthorizationPlace> {
    match segments {
        [order, index] => {
            Some(AuthorizationPlace::Order(order.parse().ok()?, authorization_index(index)?))
        }
        [id] => Some(AuthorizationPlace::PreAuthorization(id.parse().ok()?)),
        _ => None,
    }
}

fn authorization_index(text: &str) -> Option<AuthorizationIndex> {
    canonical_number(text)?.try_into().ok().map(AuthorizationIndex)
}

/// One resource has one URL: no leading zeros, no plus sign.
fn canonical_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use domain::PreAuthorizationId;

    use super::*;

    #[test]
    fn numbers_in_urls_have_one_spelling() {
        assert_eq!(canonical_number("10"), Some(10));
        for text in ["", "010", "+1", "-1", "1 ", "99999999999999999999"] {
            assert_eq!(canonical_number(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_names_at_most_one_resource() {
        let order = OrderId::new(1, &[1; 16]);
        let path = format!("challenge/{order}/0/http-01");
        let segments: Vec<&str> = path.split('/').collect();
        assert_eq!(
            resource_of(&segments),
            Some(Resource::Challenge(
                AuthorizationPlace::Order(order, AuthorizationIndex(0)),
                ChallengeType::Http01
            ))
        );
        let id = PreAuthorizationId::from_random(&[1; 16]);
        let place = AuthorizationPlace::PreAuthorization(id.clone());
        assert_eq!(
            resource_of(&["authorization", id.as_str()]),
            Some(Resource::Authorization(place))
        );
        for path in [
            "",
            "order",
            "order/",
            "order/x/finalize",
            "authorization",
            "authorization/x",
            "challenge/http-01",
            "new-nonce/",
            "account/../order",
            "certificate/1-01/0",
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            assert_eq!(resource_of(&segments), None, "{path}");
        }
    }
}
