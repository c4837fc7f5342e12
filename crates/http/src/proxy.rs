//! The [`TrustedProxies`]: whose word counts on where a request comes from.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The addresses of proxies in front of the server, which say in `X-Forwarded-For` where a request comes from. What anybody else says there
/// is ignored.
///
/// ```
/// let proxies: dogwatch_http::TrustedProxies = "10.0.0.0/8, 192.168.1.7, fd00::/8".parse()?;
/// assert!(proxies.trusts("10.1.2.3".parse()?) && !proxies.trusts("192.168.1.8".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Why a text is no list of proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotProxies(String);

impl std::fmt::Display for NotProxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is neither an address nor a network, as in `10.0.0.0/8`", self.0)
    }
}

impl std::error::Error for NotProxies {}

/// Reads addresses and networks with commas in between.
impl FromStr for TrustedProxies {
    type Err = NotProxies;

    fn from_str(text: &str) -> Result<Self, NotProxies> {
        let network = |text: &str| {
            let text = text.trim();
            let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            network.ok_or_else(|| NotProxies(text.to_owned()))
        };
        text.split(',').map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    /// Whether an address is one of the proxies.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from, that a peer has sent: of the addresses that proxies have noted, the last that is not a proxy.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let noted = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let noted: Vec<&str> = noted.flat_map(|value| value.split(',')).collect();
        for text in noted.iter().rev() {
            // What is left was noted by somebody who is not trusted.
            if !self.trusts(client) {
                break;
            }
            let text = text.trim();
            let plain = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
            match plain.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip())) {
                Some(address) => client = address.to_canonical(),
                None => break,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_is_not_a_proxy() {
        let proxies: TrustedProxies = "10.0.0.0/8,fd00::/8,192.0.2.1".parse().unwrap();
        for (peer, noted, expected) in [
            ("10.0.0.1", &[][..], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.5"], "203.0.113.5"),
            ("::ffff:10.0.0.1", &["203.0.113.5"], "203.0.113.5"),
            ("203.0.113.9", &["203.0.113.5"], "203.0.113.9"),
            ("10.0.0.1", &["1.2.3.4, 203.0.113.5"], "203.0.113.5"),
            ("10.0.0.1", &["1.2.3.4", "203.0.113.5, 10.0.0.2", "192.0.2.1"], "203.0.113.5"),
            ("10.0.0.1", &["203.0.113.5:4711"], "203.0.113.5"),
            ("fd00::1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["unknown, 10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", &["10.0.0.5"], "10.0.0.5"),
        ] {
            let mut headers = HeaderMap::new();
            for value in noted {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            assert_eq!(proxies.client(peer.parse().unwrap(), &headers).to_string(), expected, "{peer} {noted:?}");
        }
        assert!("10.0.0.0/33".parse::<TrustedProxies>().is_err() && "a,b".parse::<TrustedProxies>().is_err());
    }
}
