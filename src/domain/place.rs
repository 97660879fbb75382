//! Where requests come from, as far as one client is told from another.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// An IPv4 address, or an IPv6 network of 64 bits: whoever has one address of that has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(IpAddr);

/// Text that is no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an IPv4 address nor an IPv6 network of 64 bits")]
pub struct InvalidPlace;

impl From<IpAddr> for Place {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into())
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => fmt::Display::fmt(&address, f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let address: IpAddr = text.strip_suffix("/64").unwrap_or(text).parse().map_err(|_| InvalidPlace)?;
        let place = Self::from(address);
        if place.to_string() == text { Ok(place) } else { Err(InvalidPlace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_place_and_so_is_an_ipv4_address() {
        let cases = [
            ("203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ];
        for (address, expected) in cases {
            let place = Place::from(address.parse::<IpAddr>().unwrap());
            assert_eq!(place.to_string(), expected, "{address}");
            assert_eq!(expected.parse(), Ok(place));
        }
        for text in ["", "2001:db8::1/64", "2001:db8::", "203.0.113.9/64", "here"] {
            assert_eq!(text.parse::<Place>(), Err(InvalidPlace), "{text}");
        }
    }
}
