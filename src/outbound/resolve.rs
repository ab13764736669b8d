//! Names that lead where no provider, gate or receiver is. Whoever controls the DNS zone of one must not have the controller
//! call its own pod or the machine's metadata: what a name resolves to is looked at each time, and those addresses alone are
//! connected to. An address that the admin wrote as such is not resolved, and so exempt; `localhost` is one.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The metadata service of EC2 by IPv6, in a range of private addresses.
const EC2_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// The EKS Pod Identity agent by IPv6.
const EKS_AGENT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23);
/// IPv4 addresses behind NAT64 are these and the address.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// A name that leads to no address that may be called.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no address that may be called")]
pub struct Misled;

/// Whether a call failed for where its name leads.
pub fn is_misled(error: &reqwest::Error) -> bool {
    let first: Option<&(dyn std::error::Error + 'static)> = Some(error);
    std::iter::successors(first, |error| error.source()).any(<dyn std::error::Error>::is::<Misled>)
}

/// Resolves as the system does, and leaves out what no name may lead to.
pub struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_owned();
            // The port is the caller's.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.filter(|found| may_be_meant(&name, found.ip())).collect();
            if found.is_empty() {
                return Err(Misled.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether a name may stand for an address.
fn may_be_meant(name: &str, address: IpAddr) -> bool {
    let address = as_v4(address);
    let local = name.eq_ignore_ascii_case("localhost");
    if address.is_loopback() {
        return local;
    }
    match address {
        IpAddr::V4(v4) => {
            !(v4.octets()[0] == 0 || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            let special = [EC2_METADATA, EKS_AGENT].contains(&v6);
            !(special || v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast())
        }
    }
}

/// An IPv4 address in each of its IPv6 spellings.
fn as_v4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if v6.segments()[..6] == NAT64 {
        let [.., a, b, c, d] = v6.octets();
        return IpAddr::from([a, b, c, d]);
    }
    v6.to_ipv4_mapped().map_or(address, IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use std::{str::FromStr, sync::Arc};

    use super::*;

    #[test]
    fn no_name_leads_to_this_pod_or_to_metadata() {
        let forbidden = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.23",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ];
        for address in forbidden {
            assert!(!may_be_meant("metrics.example", address.parse().unwrap()), "{address}");
        }
        let usual =
            ["10.96.0.10", "172.20.1.2", "192.168.3.4", "100.64.0.1", "8.8.8.8", "fd12::1", "2001:db8::1"];
        for address in usual {
            assert!(may_be_meant("metrics.example", address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "::1"] {
            assert!(may_be_meant("LocalHost", address.parse().unwrap()), "{address}");
        }
        assert!(!may_be_meant("localhost", "169.254.169.254".parse().unwrap()));
    }

    #[tokio::test]
    async fn what_is_left_of_a_name_is_all_that_is_connected_to() {
        let resolve = |name: &str| Guarded.resolve(name.parse().unwrap());
        assert!(
            resolve("localhost").await.is_ok_and(|mut found| found.all(|found| found.ip().is_loopback()))
        );
        // As the hosts file of this machine, or a zone, could say it: an address in digits resolves to itself.
        let refused = resolve("169.254.169.254").await.err().unwrap();
        assert!(refused.is::<Misled>(), "{refused}");
    }

    /// As a zone would say it that somebody else controls.
    struct Elsewhere;

    impl Resolve for Elsewhere {
        fn resolve(&self, _: Name) -> Resolving {
            Guarded.resolve(Name::from_str("169.254.169.254").unwrap())
        }
    }

    #[tokio::test]
    async fn a_call_that_fails_for_where_its_name_leads_is_told_from_others() {
        let client = |builder: reqwest::ClientBuilder| builder.no_proxy().tls_certs_only([]).build().unwrap();
        let misled = client(reqwest::Client::builder().dns_resolver(Arc::new(Elsewhere)));
        let error = misled.get("http://metrics.example/").send().await.unwrap_err();
        assert!(is_misled(&error), "{error:?}");
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let gone = client(reqwest::Client::builder().dns_resolver(Arc::new(Guarded)));
        let error = gone.get(format!("http://{free}/")).send().await.unwrap_err();
        assert!(!is_misled(&error), "{error:?}");
    }
}
