//! How many connections each address has.
//!
//! In: who connects. Out: a place, or none when so many are held from there already. IPv6 counts by /64, which is what one
//! customer gets. Proxies that are trusted speak for many people and are not counted.
//!
//! Deliberately elsewhere: how many connections there are in all (the accept loop), how much each may ask (`ingest::limits`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::NetList;

/// The connections that are open, by address.
#[derive(Debug)]
pub struct Crowd {
    most: u32,
    trusted: NetList,
    open: Mutex<HashMap<IpAddr, u32>>,
}

/// A connection that is counted until it is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    /// Nothing, where nobody counts.
    of: Option<IpAddr>,
}

impl Crowd {
    /// Nobody yet; `most` of each, but of these as many as come.
    pub fn new(most: u32, trusted: NetList) -> Arc<Self> {
        Arc::new(Self { most, trusted, open: Mutex::default() })
    }

    /// A place for one more connection from there, if there is one.
    pub fn place(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let from = from.to_canonical();
        let of = (!self.trusted.contains(from)).then(|| customer(from));
        if let Some(of) = of {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(of).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Place { crowd: Arc::clone(self), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(of) = self.of else { return };
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(of) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// An address of IPv4; of IPv6 the network that one customer gets.
fn customer(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SettingValue;
    use proptest::prelude::*;

    fn crowd(most: u32) -> Arc<Crowd> {
        Crowd::new(most, NetList::parse("10.0.0.0/8").unwrap())
    }

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_places_and_others_have_theirs() {
        let crowd = crowd(2);
        let held: Vec<_> = (0..2).map(|_| crowd.place(at("192.0.2.1")).unwrap()).collect();
        assert!(crowd.place(at("192.0.2.1")).is_none());
        assert!(crowd.place(at("::ffff:192.0.2.1")).is_none(), "the same, written as IPv6");
        assert!(crowd.place(at("192.0.2.2")).is_some());
        drop(held);
        assert!(crowd.place(at("192.0.2.1")).is_some());
    }

    #[test]
    fn a_customer_of_ipv6_is_counted_once_however_many_addresses_it_takes() {
        let crowd = crowd(1);
        let _held = crowd.place(at("2001:db8:1:2::1")).unwrap();
        assert!(crowd.place(at("2001:db8:1:2:ffff::9")).is_none());
        assert!(crowd.place(at("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn a_trusted_proxy_has_as_many_as_it_needs() {
        let crowd = crowd(1);
        let held: Vec<_> = (0..100).map(|_| crowd.place(at("10.1.2.3"))).collect();
        assert!(held.iter().all(Option::is_some));
    }

    proptest! {
        /// Whoever comes and goes in whatever order: places are given exactly while fewer than the most are held, and nothing
        /// is remembered of those who left.
        #[test]
        fn places_are_given_while_fewer_are_held(steps in prop::collection::vec((0..4u8, any::<bool>()), 1..200)) {
            let crowd = crowd(3);
            let mut held: HashMap<u8, Vec<Place>> = HashMap::new();
            for (who, comes) in steps {
                let places = held.entry(who).or_default();
                if comes {
                    let given = crowd.place(IpAddr::from([192, 0, 2, who]));
                    prop_assert_eq!(given.is_some(), places.len() < 3);
                    places.extend(given);
                } else {
                    places.pop();
                }
            }
            drop(held);
            prop_assert!(crowd.open.lock().unwrap().is_empty());
        }
    }
}
