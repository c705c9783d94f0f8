//! Which hosts and addresses may be reached at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use presign_gateway::domain::egress::{AllowedHosts, is_public};
use proptest::prelude::*;
use url::Url;

/// What no public host has, each network by its first and last address.
const NOT_PUBLIC: &[&str] = &[
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    // Unspecified, loopback, v4-compatible, v4-mapped: even of a public address.
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    // NAT64 of private addresses, and of local use.
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    // Discard, benchmarking, identifiers that are not routed, documentation.
    "100::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff::1",
    "2001:db8::1",
    "3fff::1",
    "3fff:fff::1",
    // 6to4 and Teredo of private addresses: 10.0.0.1, and 127.0.0.1 with its bits turned.
    "2002:a00:1::1",
    "2001:0:a00:1::f7f7:f7f7",
    "2001:0:808:808::80ff:fffe",
    // Unique local, link-local, site-local, multicast.
    "fc00::1",
    "fd00:ec2::254",
    "fdff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
];

const PUBLIC: &[&str] = &[
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "3fff:1000::1",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2001:0:808:808::f7f7:f7f7",
];

#[test]
fn special_purpose_addresses_are_private_neighbours_public() {
    for text in NOT_PUBLIC {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
    for text in PUBLIC {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}

fn embedded(prefix: [u16; 2], address: Ipv4Addr) -> IpAddr {
    let [a, b, c, d] = address.octets().map(u16::from);
    Ipv6Addr::new(prefix[0], prefix[1], 0, 0, 0, 0, a << 8 | b, c << 8 | d).into()
}

proptest! {
    #[test]
    fn an_ipv4_address_is_judged_the_same_however_it_is_written(bits: u32) {
        let address = Ipv4Addr::from(bits);
        let networks = [
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
            "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/4", "240.0.0.0/4",
        ];
        let expected = !networks.iter().any(|network| network.parse::<Ipv4Net>().unwrap().contains(&address));
        prop_assert_eq!(is_public(address.into()), expected);
        prop_assert_eq!(is_public(embedded([0x64, 0xff9b], address)), expected, "NAT64");
        let [a, b, c, d] = address.octets().map(u16::from);
        let six_to_four = Ipv6Addr::new(0x2002, a << 8 | b, c << 8 | d, 0, 0, 0, 0, 1);
        prop_assert_eq!(is_public(six_to_four.into()), expected, "6to4");
        prop_assert!(!is_public(address.to_ipv6_mapped().into()), "v4-mapped");
        prop_assert!(!is_public(embedded([0, 0], address)), "v4-compatible");
    }

    #[test]
    fn no_ipv6_address_outside_of_what_is_given_out_is_public(bits: u128) {
        let address = Ipv6Addr::from(bits);
        let nat64 = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
        prop_assert!(nat64 || bits >> 125 == 1 || !is_public(address.into()), "{}", address);
    }
}

fn allowed(texts: &[&str]) -> AllowedHosts {
    AllowedHosts::parse(texts.iter().copied()).unwrap()
}

#[test]
fn a_host_is_allowed_by_name_by_address_and_by_port() {
    let hosts = allowed(&["Store", "idp.internal:8443", "10.0.0.5", "::1", "[fd00::1]:9000"]);
    for (host, port) in [
        ("store", 80),
        ("STORE.", 9000),
        ("idp.internal", 8443),
        ("10.0.0.5", 1),
        ("[::1]", 443),
        ("0:0:0:0:0:0:0:1", 443),
        ("fd00::1", 9000),
    ] {
        assert!(hosts.allows(host, port), "{host} {port}");
    }
    for (host, port) in [("stores", 80), ("idp.internal", 443), ("x.store", 80), ("10.0.0.50", 1), ("fd00::1", 443)] {
        assert!(!hosts.allows(host, port), "{host} {port}");
    }
    assert!(allowed(&["*"]).allows("anything", 1) && AllowedHosts::any().allows("anything", 1));
    assert!(!AllowedHosts::default().allows("localhost", 80));
}

#[test]
fn what_is_no_host_cannot_be_allowed() {
    for text in
        ["", "10.0.0.0/8", "http://store", "store/path", "store:0", "store:99999", "*.internal", "a b", "store:"]
    {
        assert!(AllowedHosts::parse([text]).is_err(), "{text:?}");
    }
}

#[test]
fn urls_must_be_https_and_public_unless_their_host_is_allowed() {
    let refused = [
        "http://idp.example.com",
        "https://127.0.0.1",
        "https://[::1]",
        "https://[::ffff:10.0.0.1]",
        "https://0x7f.1",
        "https://2130706433",
        "https://169.254.169.254/latest",
        "https://localhost",
        "https://LOCALHOST.",
        "https://a.localhost",
        "https://idp.internal",
        "https://printer.local",
    ];
    for text in refused {
        let url = Url::parse(text).unwrap();
        let said = AllowedHosts::default().check("endpoint", &url).unwrap_err().to_string();
        assert!(said.starts_with("endpoint must ") && said.contains("outbound.allowed_hosts"), "{text}: {said}");
        let by_name = allowed(&[url.host_str().unwrap()]);
        assert!(by_name.check("endpoint", &url).is_ok(), "{text} when its host is allowed");
    }
    for text in ["https://idp.example.com", "https://9.9.9.9:8443", "https://mylocal", "https://internal.example"] {
        assert!(AllowedHosts::default().check("endpoint", &Url::parse(text).unwrap()).is_ok(), "{text}");
    }
    for text in ["ftp://idp.example.com", "file:///etc/passwd"] {
        assert!(AllowedHosts::any().check("endpoint", &Url::parse(text).unwrap()).is_err(), "{text}");
    }
}
