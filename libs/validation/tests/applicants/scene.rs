//! What most tests need: a validator for the test's servers, and one call to run it.

use std::time::Duration;

use domain::{ChallengeType, Failure, Identifier};
use validation::{Attempt, NetworkPolicy, Outcome, ResolverChoice, Settings, Validator};

use crate::dns_server::{DnsServer, Zone};

pub(crate) const NAME: &str = "a.example";
pub(crate) const TOKEN: &str = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
pub(crate) const KEY_AUTHORIZATION: &str =
    "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";
/// The digest of the key authorization as the TXT record shows it; computed with openssl.
pub(crate) const TXT_VALUE: &str = "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo";

/// The account that asks.
pub(crate) const ACCOUNT: &str = "https://ca.example/acme/default/account/1";

/// A DNS server and the settings that use it.
pub(crate) struct Scene {
    pub(crate) settings: Settings,
    _dns: DnsServer,
}

impl Scene {
    /// Allows loopback addresses and keeps every wait short.
    pub(crate) async fn new(zone: Zone) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dns = DnsServer::start(zone).await;
        let settings = Settings {
            resolver: ResolverChoice::Address(dns.address),
            policy: NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]),
            dns_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_millis(500),
            request_timeout: Duration::from_secs(2),
            total_timeout: Duration::from_secs(4),
            ..Settings::default()
        };
        Self { settings, _dns: dns }
    }

    /// The same with http-01 and tls-alpn-01 at a port.
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.settings.http01_port = port;
        self.settings.tls_alpn01_port = port;
        self
    }

    pub(crate) async fn http01(&self) -> Outcome {
        self.validate(ChallengeType::Http01, NAME).await
    }

    pub(crate) async fn dns01(&self) -> Outcome {
        self.validate(ChallengeType::Dns01, NAME).await
    }

    pub(crate) async fn tls_alpn01(&self) -> Outcome {
        self.validate(ChallengeType::TlsAlpn01, NAME).await
    }

    pub(crate) async fn validate(&self, challenge: ChallengeType, name: &str) -> Outcome {
        let validator = Validator::new(self.settings.clone()).unwrap();
        let asked = identifier(name);
        let result = validator.validate(attempt(challenge, &asked)).await.unwrap();
        let evidence = match &result {
            Ok(evidence) => evidence,
            Err(rejected) => &rejected.evidence,
        };
        assert_eq!(evidence.perspective, "primary");
        assert_eq!(evidence.resolver, self.settings.resolver.to_string());
        result
    }
}

/// A name or an address.
pub(crate) fn identifier(text: &str) -> Identifier {
    match text.parse() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(text.parse().unwrap()),
    }
}

pub(crate) fn attempt(challenge: ChallengeType, asked: &Identifier) -> Attempt<'_> {
    Attempt {
        challenge,
        wildcard: asked.is_wildcard(),
        identifier: asked,
        token: TOKEN,
        key_authorization: KEY_AUTHORIZATION,
        account_url: ACCOUNT,
    }
}

/// The failure of a validation that must fail.
pub(crate) fn failure(result: Outcome) -> Failure {
    let failure = result.unwrap_err().failure;
    assert!(failure.detail.len() <= Failure::MAX_DETAIL_BYTES);
    assert!(failure.detail.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
    failure
}
