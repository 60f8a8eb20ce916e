//! Which addresses may be spoken to.
//!
//! **Invariant:** pure, and fails closed: what is not surely public is private.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Whether an address belongs to this machine or its surroundings, or to nobody. The lists are those of IANA's registries
/// of special-purpose addresses (RFC 6890).
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
}

/// Only global unicast (2000::/3) is public, and of it nothing that carries another address inside.
fn is_private_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_private_v4(inner);
    }
    let [a, b, c, d, ..] = address.segments();
    let is_documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    let is_protocol = a == 0x2001 && b < 0x200;
    let is_6to4 = a == 0x2002;
    // NAT64 (64:ff9b::/96) leads to whatever IPv4 address its end says.
    let is_nat64 = [a, b, c, d] == [0x64, 0xff9b, 0, 0];
    if is_nat64 {
        let [.., high, low] = address.segments();
        let ([p, q], [r, s]) = (high.to_be_bytes(), low.to_be_bytes());
        return is_private_v4(Ipv4Addr::new(p, q, r, s));
    }
    a & 0xe000 != 0x2000 || is_documentation || is_protocol || is_6to4
}

/// The address that a URL names without any name, if it does.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a task allows this host, `HOST` or `HOST:PORT`.
pub(super) fn is_allowed(url: &Url, allowed: &[String]) -> bool {
    let Some(host) = url.host_str() else { return false };
    let port = url.port_or_known_default();
    allowed.iter().any(|entry| {
        entry.eq_ignore_ascii_case(host)
            || port.is_some_and(|port| entry.eq_ignore_ascii_case(&format!("{host}:{port}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_surely_public_is_private() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "9.9.9.9",
            "100.63.255.255",
            "172.32.0.1",
            "198.20.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn odd_spellings_of_an_address_are_that_address() {
        for odd in [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://127.1/",
        ] {
            let url: Url = odd.parse().unwrap();
            assert!(is_private(literal(&url).unwrap()), "{odd} is {url}");
        }
    }

    #[test]
    fn a_host_is_allowed_by_name_with_its_port_or_any() {
        let url: Url = "http://Build.Local:8080/x".parse().unwrap();
        assert!(is_allowed(&url, &["build.local".to_owned()]));
        assert!(is_allowed(&url, &["BUILD.local:8080".to_owned()]));
        assert!(!is_allowed(&url, &["build.local:80".to_owned(), "local".to_owned(), ".local".to_owned()]));
        assert!(is_allowed(&"http://[::1]/".parse().unwrap(), &["[::1]:80".to_owned()]));
    }
}
