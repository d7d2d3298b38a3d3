//! Where an http-01 request may go: the first URL, and what a redirect may make of it.

use std::{fmt, net::IpAddr};

use domain::{DnsName, Failure, FailureKind};
use reqwest::header::HeaderValue;
use url::Url;

use crate::{Settings, address::Host};

/// The longest redirect that is followed.
const MAX_LOCATION_BYTES: usize = 2048;

/// A URL that may be asked: http or https, a DNS name or the address to be proven, a port, no credentials.
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// Why a redirect is not followed. The messages never repeat what the redirect says.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum RedirectError {
    #[error("it has no Location header")]
    NoLocation,
    #[error("its Location header is longer than {MAX_LOCATION_BYTES} bytes")]
    TooLong,
    #[error("its Location header is not a URL")]
    NotAUrl,
    #[error("its scheme is neither http nor https")]
    Scheme,
    #[error("it contains a user name or password")]
    Credentials,
    #[error("its host is an IP address, not a DNS name")]
    IpAddress,
    #[error("its host is not a fully qualified DNS name")]
    Host,
    #[error("port {0} is not allowed")]
    Port(u16),
}

impl Target {
    /// The URL of RFC 8555 §8.3.
    pub(super) fn first(host: Host, port: u16, token: &str) -> Result<Self, Failure> {
        let text = format!("http://{host}:{port}/.well-known/acme-challenge/{token}");
        let url = Url::parse(&text).map_err(|error| {
            tracing::error!(%host, %error, "identifier and token make no URL");
            Failure::new(FailureKind::ServerInternal, "the challenge's URL could not be made")
        })?;
        Ok(Self { url, host, port })
    }

    /// The URL a redirect leads to, when it may be followed.
    pub(super) fn redirected(
        &self,
        location: Option<&HeaderValue>,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        self.follow(location, settings).map_err(|error| {
            let detail = format!("the redirect from {self} cannot be followed: {error}");
            Failure::new(FailureKind::Connection, &detail)
        })
    }

    fn follow(
        &self,
        location: Option<&HeaderValue>,
        settings: &Settings,
    ) -> Result<Self, RedirectError> {
        let location = location.ok_or(RedirectError::NoLocation)?;
        if location.len() > MAX_LOCATION_BYTES {
            return Err(RedirectError::TooLong);
        }
        let text = location.to_str().map_err(|_| RedirectError::NotAUrl)?;
        let mut url = self.url.join(text).map_err(|_| RedirectError::NotAUrl)?;
        url.set_fragment(None);
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RedirectError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RedirectError::Credentials);
        }
        let host = match url.host() {
            Some(url::Host::Domain(host)) => match host.parse::<DnsName>() {
                Ok(name) if !name.is_wildcard() => Host::Name(name),
                Ok(_) | Err(_) => return Err(RedirectError::Host),
            },
            Some(url::Host::Ipv4(address)) => self.same_address(address.into())?,
            Some(url::Host::Ipv6(address)) => self.same_address(address.into())?,
            None => return Err(RedirectError::Host),
        };
        let port = url.port_or_known_default().ok_or(RedirectError::Scheme)?;
        if !settings.permits_port(port) {
            return Err(RedirectError::Port(port));
        }
        Ok(Self { url, host, port })
    }
}

impl Target {
    /// An address may redirect to itself, such as to https; nothing else leads to an address.
    fn same_address(&self, address: IpAddr) -> Result<Host, RedirectError> {
        let same = Host::Address(address);
        if self.host == same { Ok(same) } else { Err(RedirectError::IpAddress) }
    }
}

/// Scheme, host and port: the parts of a URL that are safe to show, because they were checked.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.url.scheme(), self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(location: &str) -> Result<String, RedirectError> {
        follow_from("a.example", location)
    }

    fn follow_from(host: &str, location: &str) -> Result<String, RedirectError> {
        let host = match host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name(host.parse().unwrap()),
        };
        let first = Target::first(host, 5002, "token").unwrap();
        let header = HeaderValue::from_str(location).unwrap();
        first.follow(Some(&header), &Settings { http01_port: 5002, ..Settings::default() }).map(
            |target| {
                assert!(
                    target.url.host_str().unwrap().eq_ignore_ascii_case(&target.host.to_string())
                );
                target.url.into()
            },
        )
    }

    #[test]
    fn the_first_url_leads_to_the_host_that_is_looked_up() {
        for name in ["A.example", "xn--bcher-kva.example", "0x7f.0.0.1.example", "1.a.0xg"] {
            let host = Host::Name(name.parse().unwrap());
            let first = Target::first(host, 80, "token").unwrap();
            assert_eq!(first.url.domain(), Some(name.to_ascii_lowercase().as_str()));
        }
        // Of these, a URL would make an address that nobody looked up or checked.
        for name in ["127.0.0.0x1", "127.0x1", "1.2.3.0x", "1.2.3.0X4"] {
            name.parse::<DnsName>().unwrap_err();
        }
    }

    #[test]
    fn redirects_to_allowed_ports_of_dns_names_are_followed() {
        assert_eq!(follow("/other").as_deref(), Ok("http://a.example:5002/other"));
        assert_eq!(follow("//b.example/x#f").as_deref(), Ok("http://b.example/x"));
        assert_eq!(follow("https://b.example/").as_deref(), Ok("https://b.example/"));
        assert_eq!(follow("HTTP://B.EXAMPLE:5002").as_deref(), Ok("http://b.example:5002/"));
    }

    #[test]
    fn other_schemes_are_refused() {
        for location in ["file:///etc/passwd", "ftp://b.example/", "gopher://b.example", "data:,x"]
        {
            assert_eq!(follow(location), Err(RedirectError::Scheme), "{location}");
        }
    }

    #[test]
    fn credentials_are_refused() {
        for location in ["http://user@b.example/", "http://:pass@b.example/", "//u:p@b.example"] {
            assert_eq!(follow(location), Err(RedirectError::Credentials), "{location}");
        }
    }

    #[test]
    fn ip_addresses_are_refused_however_they_are_written() {
        for location in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://127.1/",
            "http://[::ffff:169.254.169.254]/",
            "http://0177.0.0.1",
            "http://%31%32%37.0.0.1/",
        ] {
            assert_eq!(follow(location), Err(RedirectError::IpAddress), "{location}");
        }
    }

    #[test]
    fn an_address_may_redirect_to_itself_and_to_no_other() {
        let secure = follow_from("192.0.2.1", "https://192.0.2.1/x");
        assert_eq!(secure.as_deref(), Ok("https://192.0.2.1/x"));
        let v6 = follow_from("2001:db8::1", "/x");
        assert_eq!(v6.as_deref(), Ok("http://[2001:db8::1]:5002/x"));
        assert_eq!(
            follow_from("192.0.2.1", "http://b.example/").as_deref(),
            Ok("http://b.example/")
        );
        for location in ["http://192.0.2.2/", "http://127.0.0.1/", "http://[::ffff:192.0.2.1]/"] {
            assert_eq!(
                follow_from("192.0.2.1", location),
                Err(RedirectError::IpAddress),
                "{location}"
            );
        }
    }

    #[test]
    fn hosts_that_are_no_full_dns_names_are_refused() {
        for location in [
            "http://localhost/",
            "http://b.example./",
            "http://a_b.example/",
            "http://*.b.example/",
        ] {
            assert_eq!(follow(location), Err(RedirectError::Host), "{location}");
        }
    }

    #[test]
    fn other_ports_are_refused() {
        assert_eq!(follow("http://b.example:22/"), Err(RedirectError::Port(22)));
        assert_eq!(follow("https://b.example:8443/"), Err(RedirectError::Port(8443)));
    }

    #[test]
    fn missing_long_and_broken_locations_are_refused() {
        assert_eq!(
            follow(&format!("/{}", "a".repeat(MAX_LOCATION_BYTES))),
            Err(RedirectError::TooLong)
        );
        assert_eq!(follow("http://"), Err(RedirectError::NotAUrl));
        assert_eq!(follow("http://b.example:99999/"), Err(RedirectError::NotAUrl));
        let host = Host::Name("a.example".parse().unwrap());
        let first = Target::first(host, 80, "token").unwrap();
        let none = first.follow(None, &Settings::default());
        assert_eq!(none.err(), Some(RedirectError::NoLocation));
    }
}
