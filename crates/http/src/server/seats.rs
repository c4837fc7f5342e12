//! The [`Seats`] of a server: how many connections there may be at once, from everywhere and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where a client is. The addresses of one IPv6 subscriber, a /64, are one place.
pub(crate) fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// All seats, and who has taken them.
#[derive(Debug)]
pub(super) struct Seats {
    all: Arc<Semaphore>,
    number: u32,
    /// The most of one place.
    each: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// The seat of a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    place: IpAddr,
    _one: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(number: usize, each: usize) -> Arc<Self> {
        let number = u32::try_from(number.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let all = Arc::new(Semaphore::new(usize::try_from(number).unwrap_or(Semaphore::MAX_PERMITS)));
        Arc::new(Self { all, number, each, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat for a client at an address; `None` when there is none left, or none for its place. Of a proxy, any number may be
    /// taken.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, is_proxy: bool) -> Option<Seat> {
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let place = place(address);
        let mut taken = self.taken();
        let of_place = taken.entry(place).or_default();
        if *of_place >= self.each && !is_proxy {
            return None;
        }
        *of_place = of_place.saturating_add(1);
        drop(taken);
        Some(Seat { seats: Arc::clone(self), place, _one: one })
    }

    /// Waits until nobody has a seat.
    pub(super) async fn all_free(&self) {
        let _ = self.all.acquire_many(self.number).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(of_place) = taken.get_mut(&self.place) {
            *of_place = of_place.saturating_sub(1);
            if *of_place == 0 {
                taken.remove(&self.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_some_of_all_seats() {
        let seats = Seats::new(5, 2);
        let at = |address: &str| seats.take(address.parse().unwrap(), false);
        let (first, second) = (at("10.0.0.1").unwrap(), at("::ffff:10.0.0.1").unwrap());
        assert!(at("10.0.0.1").is_none(), "the same place, written otherwise");
        let others: Vec<_> = ["10.0.0.2", "2001:db8::1", "2001:db8::2"].map(|it| at(it).unwrap()).into();
        assert!(at("10.0.0.3").is_none(), "all are taken");
        drop(others);
        let six: Vec<_> = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].iter().filter_map(|it| at(it)).collect();
        assert_eq!(six.len(), 2, "one subscriber");
        drop(six);
        assert!(seats.take("10.0.0.1".parse().unwrap(), true).is_some(), "a proxy");
        drop((first, second));
        assert!(seats.taken().is_empty());
    }
}
