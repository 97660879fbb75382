//! From where a key may be used.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;

/// One network in CIDR notation, host bits cleared; a plain address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpNetwork);

/// The networks that a key may be used from. None means from anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Box<[Network]>);

/// Text that is no network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address or CIDR such as 203.0.113.0/24 or 2001:db8::/32")]
pub struct InvalidNetwork(String);

impl Network {
    /// Tells whether the address lies within. IPv4-mapped IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(super::token::redact(text).into_owned());
        let network: IpNetwork = text.parse().map_err(|_| invalid())?;
        let (address, prefix) = match (network.ip(), network.ip().to_canonical()) {
            // ::ffff:10.0.0.0/104 is 10.0.0.0/8; one that reaches beyond the mapped range is no IPv4 network.
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => {
                (v4, network.prefix().checked_sub(96).ok_or_else(invalid)?)
            }
            (address, _) => (address, network.prefix()),
        };
        let network = IpNetwork::new(address, prefix).map_err(|_| invalid())?;
        IpNetwork::new(network.network(), prefix).map(Self).map_err(|_| invalid())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Networks {
    /// Returns the networks with these names, twins left out; an invalid one is an error that names it.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        let mut networks: Vec<Network> = Vec::new();
        for name in names {
            let network = name.parse()?;
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        Ok(Self(networks.into()))
    }

    /// Tells whether a key may be used from the address; `None` is an address that could not be read,
    /// which no restriction lets through.
    pub fn permit(&self, address: Option<IpAddr>) -> bool {
        self.0.is_empty() || address.is_some_and(|address| self.contain(address))
    }

    /// Tells whether the address lies within one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Returns the networks.
    pub fn as_slice(&self) -> &[Network] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_works_from_its_networks_only() {
        let cases: &[(&[&str], &str, bool)] = &[
            // networks              address               permitted
            (&[], "203.0.113.9", true),
            (&["203.0.113.0/24"], "203.0.113.9", true),
            (&["203.0.113.0/24"], "203.0.114.9", false),
            (&["203.0.113.7"], "203.0.113.7", true),
            (&["203.0.113.7"], "::ffff:203.0.113.7", true),
            (&["::ffff:203.0.113.7"], "203.0.113.7", true),
            (&["10.0.0.0/8", "192.168.0.0/16"], "192.168.4.4", true),
            (&["0.0.0.0/0"], "8.8.8.8", true),
            (&["0.0.0.0/0"], "2001:db8::1", false),
            (&["::/0"], "2001:db8::1", true),
            (&["::/0"], "10.0.0.1", false),
            (&["10.0.0.1/32"], "10.0.0.2", false),
            (&["2001:db8::/64"], "2001:db8::ffff", true),
            (&["2001:db8::/64"], "2001:db8:0:1::1", false),
            (&["2001:db8::1/128"], "2001:db8::1", true),
        ];
        for (networks, address, permitted) in cases {
            let networks = Networks::parse(networks.iter().copied()).unwrap();
            assert_eq!(networks.permit(Some(address.parse().unwrap())), *permitted, "{networks:?} {address}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_matches_no_restriction() {
        assert!(Networks::default().permit(None));
        assert!(!Networks::parse(["0.0.0.0/0", "::/0"]).unwrap().permit(None));
    }

    #[test]
    fn networks_are_written_in_one_way() {
        let cases = [
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("::ffff:10.1.2.3/104", Some("10.0.0.0/8")),
            ("2001:DB8::7/32", Some("2001:db8::/32")),
            ("::ffff:0:0/95", None),
            ("10.0.0.0/33", None),
            ("10.0.0", None),
            ("fe80::1%eth0", None),
            ("10.0.0.1:80", None),
            ("", None),
            ("*", None),
            ("localhost", None),
        ];
        for (text, expected) in cases {
            let network = text.parse::<Network>().ok().map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn membership_is_what_the_bits_say(network in any::<u32>(), prefix in 0..=32_u8, address in any::<u32>()) {
            let text = format!("{}/{prefix}", IpAddr::from(network.to_be_bytes()));
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let expected = network & mask == address & mask;
            let networks = Networks::parse([text.as_str()]).unwrap();
            prop_assert_eq!(networks.contain(address.to_be_bytes().into()), expected);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<Network>();
        }
    }
}
