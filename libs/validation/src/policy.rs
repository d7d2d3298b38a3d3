//! Which addresses a validator may contact.
//!
//! Private networks (RFC 1918, RFC 6598, ULA) may be contacted: an enterprise CA issues for machines that live there.
//! What is denied are addresses that reach this machine itself, its neighbours on the link, many machines at once, or
//! the metadata service of the cloud it runs in, and every IPv6 form that hides one of those.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The networks a validator may contact; without exceptions it denies loopback, link-local and metadata addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    allow: Vec<IpNet>,
}

/// IPv4 networks that are never contacted unless an exception covers them.
const DENIED_V4: [Ipv4Net; 8] = [
    v4([0, 0, 0, 0], 8),   // "this network" (RFC 1122); Linux routes it to loopback
    v4([127, 0, 0, 0], 8), // loopback
    v4([169, 254, 0, 0], 16), // link-local, and the metadata service of most clouds
    v4([192, 0, 0, 0], 24), // protocol assignments (RFC 6890), and one cloud's metadata service
    v4([100, 100, 100, 200], 32), // another cloud's metadata service, inside RFC 6598 space
    v4([168, 63, 129, 16], 32), // another cloud's host agent
    v4([224, 0, 0, 0], 4), // multicast
    v4([240, 0, 0, 0], 4), // reserved, and the limited broadcast address
];

/// IPv6 networks that are never contacted unless an exception covers them.
const DENIED_V6: [Ipv6Net; 9] = [
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96), // unspecified, loopback, IPv4-compatible (RFC 4291 §2.5.5.1)
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), // local NAT64 (RFC 8215): where the IPv4 address lies is not known
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),     // discard-only (RFC 6666)
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),    // Teredo (RFC 4380)
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), // a cloud's metadata service
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), // another cloud's metadata service
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),    // link-local
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),    // site-local (RFC 3879)
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),     // multicast
];

/// IPv6 networks that carry an IPv4 address, and the octet at which it begins; IPv4-mapped ones are canonicalized first.
const EMBEDS_V4: [(Ipv6Net, usize); 3] = [
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), 2), // 6to4 (RFC 3056)
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), 12), // NAT64 (RFC 6052)
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), 12), // IPv4-translated (RFC 2765)
];

/// The interface identifiers of ISATAP (RFC 5214 §6.1), followed by an IPv4 address.
const ISATAP: [[u8; 4]; 2] = [[0x00, 0x00, 0x5e, 0xfe], [0x02, 0x00, 0x5e, 0xfe]];

impl NetworkPolicy {
    /// Makes a policy that also permits the given networks, whatever lies in them.
    pub fn allowing(networks: Vec<IpNet>) -> Self {
        Self { allow: networks }
    }

    /// Whether the address may be contacted.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.allow.iter().any(|network| network.contains(&address)) {
            return true;
        }
        match address {
            IpAddr::V4(address) => !is_denied_v4(address),
            IpAddr::V6(address) => {
                !DENIED_V6.iter().any(|network| network.contains(&address))
                    && !embedded_v4(address).is_some_and(is_denied_v4)
            }
        }
    }
}

fn is_denied_v4(address: Ipv4Addr) -> bool {
    DENIED_V4.iter().any(|network| network.contains(&address))
}

fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let isatap = ISATAP.iter().any(|id| octets[8..12] == *id).then_some(12);
    let start = EMBEDS_V4
        .iter()
        .find_map(|(network, start)| network.contains(&address).then_some(*start))
        .or(isatap)?;
    let embedded: [u8; 4] = octets[start..start + 4].try_into().ok()?;
    Some(Ipv4Addr::from(embedded))
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &NetworkPolicy, address: &str, permitted: bool) {
        assert_eq!(policy.permits(address.parse().unwrap()), permitted, "{address}");
    }

    #[test]
    fn public_and_private_addresses_are_permitted() {
        for address in [
            "192.0.2.1",
            "8.8.8.8",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "2001:db8::1",
            "fd12:3456::1",
            "2606:4700::1",
        ] {
            check(&NetworkPolicy::default(), address, true);
        }
    }

    #[test]
    fn addresses_of_this_machine_its_link_and_its_cloud_are_denied() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "192.0.0.192",
            "100.100.100.200",
            "168.63.129.16",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "100::1",
            "2001:0:1::1",
        ] {
            check(&NetworkPolicy::default(), address, false);
        }
    }

    #[test]
    fn denied_addresses_stay_denied_in_their_ipv6_forms() {
        for address in [
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::10.0.0.1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2001:db8::5efe:127.0.0.1",
            "2001:db8::200:5efe:169.254.169.254",
        ] {
            check(&NetworkPolicy::default(), address, false);
        }
    }

    #[test]
    fn ipv6_forms_of_other_addresses_are_permitted() {
        for address in ["::ffff:10.0.0.1", "64:ff9b::192.0.2.1", "2002:c000:201::1"] {
            check(&NetworkPolicy::default(), address, true);
        }
    }

    #[test]
    fn an_exception_permits_its_network_and_nothing_else() {
        let policy = NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
        check(&policy, "127.0.0.1", true);
        check(&policy, "::ffff:127.0.0.1", true);
        check(&policy, "::1", false);
        check(&policy, "64:ff9b::127.0.0.1", false);
        check(&policy, "169.254.169.254", false);
    }
}
